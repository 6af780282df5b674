"""Event files, read by TensorBoard itself."""

from tensorboard.backend.event_processing.event_accumulator import IMAGES, EventAccumulator

from models.training.command import main
from models.training.events import Events
from models.training.loop import train
from tests.models.runs import stage_one


def read(folder):
    events = EventAccumulator(str(folder), size_guidance={IMAGES: 0})
    events.Reload()
    return events


def test_resumed_slices_make_one_curve_without_what_was_lost(pairs, tmp_path):
    def die(now):
        if now.images >= 80:
            raise ConnectionError

    with Events(tmp_path / "events", "vessel") as events:
        train(stage_one(pairs), tmp_path, seconds=1e-6, recorders=[events])  # saved at 8 images
    try:
        with Events(tmp_path / "events", "vessel") as events:
            train(stage_one(pairs), tmp_path, report=die, recorders=[events], line_seconds=1e-6)
    except ConnectionError:
        pass
    lost = [point.step for point in read(tmp_path / "events/vessel").Scalars("generator_loss")]
    assert lost == list(range(8, 80, 8))
    with Events(tmp_path / "events", "vessel") as events:
        train(stage_one(pairs, images=40), tmp_path, recorders=[events], line_seconds=1e-6)
    whole = read(tmp_path / "events/vessel")
    assert [point.step for point in whole.Scalars("generator_loss")] == [8, 16, 24, 32, 40]
    assert [sheet.step for sheet in whole.Images("samples")] == [40]


def test_the_command_writes_them_when_asked(pair_folder, tmp_path):
    main(
        f"--pairs {pair_folder} --run {tmp_path} --resolution 64 --images 8 --device cpu "
        "--stage vessel --set vessel.width=0.125 --tensorboard".split()
    )
    events = read(tmp_path / "tensorboard/vessel")
    assert events.Scalars("images_per_second")[-1].value > 0
    assert events.Images("samples")[-1].width > 0
