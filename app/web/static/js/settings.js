/** Hyper-parameters as fields, made from what the OpenAPI document says of them. */
import { field, given, numberInput, numberOf } from "./field.js";
import { h } from "./dom.js";
import { sentence } from "./format.js";

/** A field for each of a schema's numbers; `pointer` is that of the whole. */
export class Settings {
  constructor(schema, pointer) {
    this.inputs = {};
    const fields = Object.entries(schema.properties).map(([name, known]) => {
      this.inputs[name] = numberInput({
        min: String(known.minimum ?? ""),
        max: String(known.maximum ?? ""),
        step: known.type === "integer" ? "1" : "any",
        placeholder: String(known.default),
      });
      const bounds = `${known.minimum} to ${known.maximum}`;
      return field(sentence(name), this.inputs[name], { help: `${known.description} ${bounds}.`, pointer: `${pointer}/${name}` });
    });
    this.element = h("div", { class: "fields" }, fields);
  }

  /** Those that were filled in; undefined if none was. */
  get values() {
    return given(Object.fromEntries(Object.entries(this.inputs).map(([name, input]) => [name, numberOf(input)])));
  }
}

