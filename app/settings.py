"""Every setting of the service, read from the environment (prefix ``FUNDUSMITH_``)."""

import base64
import binascii
import hashlib
import os
import tempfile
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

SOURCE_TREE = Path(__file__).resolve().parent.parent

# sun_path holds 104 bytes on macOS and 108 on Linux, the closing zero included.
LONGEST_SOCKET_PATH = 99


class Access(StrEnum):
    """Who may call the service."""

    OFF = "off"  # everyone on this machine
    REQUIRED = "required"  # those who send an API key
    OPEN_TO_ANYONE = "open-to-anyone"  # everyone whom the network lets through


class LogFormat(StrEnum):
    """How log lines are written."""

    TEXT = "text"
    JSON = "json"  # an object a line


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address. Of names, only localhost is known to be."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Settings(BaseSettings):
    """The defaults run everything on one machine; each can be set as ``FUNDUSMITH_<NAME>``."""

    model_config = SettingsConfigDict(
        env_prefix="FUNDUSMITH_", env_ignore_empty=True, extra="forbid", frozen=True
    )

    data_dir: Path = Field(
        default=Path(".fundusmith"),
        description="Folder for everything the embedded default keeps.",
    )
    database_url: str | None = Field(
        default=None, description="SQLAlchemy URL; without it a SQLite file under data_dir."
    )
    broker_url: str | None = Field(
        default=None,
        description="Redis or Valkey URL; without it an embedded Valkey on a private unix socket.",
    )
    storage_url: str | None = Field(
        default=None,
        description="file:///folder or s3://bucket/prefix for the stored bytes; without it a folder "
        "under data_dir.",
    )
    s3_endpoint_url: str | None = Field(
        default=None, description="Address of the S3 server; without it AWS."
    )
    s3_public_endpoint_url: str | None = Field(
        default=None, description="Address under which users reach the S3 server, if another."
    )
    host: str = Field(default="127.0.0.1", description="Address the API listens on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port the API listens on.")
    access: Access | None = Field(
        default=None,
        description="off, required (API keys) or open-to-anyone; without it off on the loopback "
        "address and required on any other.",
    )
    requests_per_minute: int = Field(
        default=120,
        ge=1,
        description="Orders, uploads, training runs, evaluations, quotes and contact sheets that one key "
        "owner may ask for, at once or in a minute.",
    )
    quota_unfinished_pairs: int = Field(
        default=1_000_000,
        ge=1,
        description="Pairs that the unfinished orders of one key owner may have together.",
    )
    quota_pairs_per_day: int = Field(
        default=1_000_000,
        ge=1,
        description="Pairs that one key owner may order in a day (UTC); failed orders do not count.",
    )
    device: str = Field(
        default="auto", description="Device of the networks: auto, cpu, cuda or cuda:N."
    )
    models_dir: Path = Field(
        default=SOURCE_TREE / "models" / "packages",
        description="Folder that holds one folder for each model package.",
    )
    default_model: str | None = Field(
        default=None,
        description="Model of orders that name none, for owners who have chosen none themselves; without "
        "it chase-256, or the only one.",
    )
    lease_seconds: float = Field(
        default=30, gt=0, description="How long a worker may be silent before its item is lost."
    )
    max_attempts: int = Field(
        default=3, ge=1, description="Failures after which an item is given up."
    )
    shard_pairs: int = Field(default=32, ge=1, le=10_000, description="Pairs in one shard.")
    slice_seconds: float = Field(
        default=300, gt=0, description="Training time of one slice of a training run."
    )
    sweep_seconds: float = Field(default=2, gt=0, description="Pause between two sweeps.")
    retention_hours: float | None = Field(
        default=None,
        gt=0,
        description="How long a data set is kept after its job has ended; without it for ever.",
    )
    max_count: int = Field(default=1_000_000, ge=1, description="Pairs that one order may ask for.")
    webhook_secret: SecretStr | None = Field(
        default=None,
        description="Signs webhooks: whsec_ and 24 to 64 random bytes in base64. Without it there are "
        "none.",
    )
    webhook_private_targets: bool = Field(
        default=False,
        description="Whether webhooks may also go to private addresses and over plain HTTP.",
    )

    health_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Port at which workers, sweeper and sender of webhooks serve /healthz and /metrics, "
        "on the same address as the API; without it they do not. `fundusmith up` counts up from it.",
    )
    stall_seconds: float = Field(
        default=600,
        gt=0,
        description="How long work may show no sign of life before /healthz of its process says that it "
        "hangs.",
    )
    log_format: LogFormat = Field(
        default=LogFormat.TEXT, description="text, or json: an object a line."
    )
    otlp_endpoint: str | None = Field(
        default=None,
        description="Address that takes traces by OTLP over HTTP, such as http://collector:4318; without "
        "it there are none. Needs fundusmith[tracing].",
    )

    @field_validator("data_dir", "models_dir")
    @classmethod
    def _make_absolute(cls, folder: Path) -> Path:
        return folder.expanduser().absolute()

    @field_validator("access")
    @classmethod
    def _check_access(cls, access: Access | None, info: ValidationInfo) -> Access | None:
        host = info.data.get("host")  # missing if it is wrong itself
        if access is Access.OFF and host is not None and not is_loopback(host):
            raise ValueError(
                f"off is for the loopback address, but FUNDUSMITH_HOST is {host}: leave it out to "
                "ask for API keys, or say open-to-anyone to serve whoever reaches the port"
            )
        return access

    @field_validator("database_url")
    @classmethod
    def _check_database(cls, url: str | None) -> str | None:
        if url is not None and urlsplit(url).scheme not in ("sqlite", "postgresql+psycopg"):
            raise ValueError("must start with sqlite:/// or postgresql+psycopg://")
        return url

    @field_validator("broker_url")
    @classmethod
    def _check_broker(cls, url: str | None) -> str | None:
        if url is not None and urlsplit(url).scheme not in ("redis", "rediss", "redis+socket"):
            raise ValueError("must start with redis://, rediss:// or redis+socket://")
        return url

    @field_validator("storage_url")
    @classmethod
    def _check_storage(cls, url: str | None) -> str | None:
        if url is None or url.startswith("file:///"):
            return url
        address = urlsplit(url)
        if address.scheme != "s3" or not address.netloc or address.query:
            raise ValueError(
                "must be a folder such as file:///var/lib/fundusmith or a bucket with a prefix such "
                "as s3://bucket/prefix"
            )
        return url

    @field_validator("s3_endpoint_url", "s3_public_endpoint_url", "otlp_endpoint")
    @classmethod
    def _check_endpoint(cls, url: str | None) -> str | None:
        if url is not None and urlsplit(url).scheme not in ("http", "https"):
            raise ValueError("must start with http:// or https://")
        return url

    @field_validator("webhook_secret")
    @classmethod
    def _check_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            prefix, _, key = secret.get_secret_value().partition("_")
            try:
                length = len(base64.b64decode(key, validate=True))
            except binascii.Error:
                length = 0
            if prefix != "whsec" or not 24 <= length <= 64:
                raise ValueError("must be whsec_ and the base64 of 24 to 64 random bytes")
        return secret

    @property
    def resolved_access(self) -> Access:
        return self.access or (Access.OFF if is_loopback(self.host) else Access.REQUIRED)

    @property
    def resolved_database_url(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir / 'fundusmith.sqlite3'}"

    @property
    def resolved_broker_url(self) -> str:
        return self.broker_url or f"redis+socket://{quote(str(self.broker_socket))}"

    @property
    def resolved_storage_url(self) -> str:
        return self.storage_url or (self.data_dir / "storage").as_uri()

    @property
    def broker_socket(self) -> Path:
        """Unix socket of the embedded Valkey, moved to the temporary folder if it gets too long."""
        socket = self.data_dir / "valkey.sock"
        if len(os.fsencode(socket)) <= LONGEST_SOCKET_PATH:
            return socket
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"fundusmith-{digest}" / "valkey.sock"


@lru_cache
def get_settings() -> Settings:
    """The settings of this process, read from the environment once.

    Raises:
        pydantic.ValidationError: a setting has a value it cannot have; the error names it.
    """
    return Settings()
