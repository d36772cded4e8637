"""Every setting of the server, from flags over environment over a TOML file to defaults."""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from speakrs_stream.errors import ConfigError

PREFIX = "SPEAKRS_"
Durability = Literal["none", "written", "synced"]
Sharing = Literal["exact", "fast"]
LogLevel = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the server runs; `speakrs-stream config print` shows what is in force."""

    host: str = "127.0.0.1"
    """Address to listen on; other than loopback needs tokens."""

    port: int = 8765
    """TCP port to listen on, 0 to 65535; 0 takes a free one."""

    admin_host: str = "127.0.0.1"
    """Address on which /metrics is served."""

    admin_port: int = 9464
    """TCP port on which /metrics is served; 0 takes a free one, -1 serves none."""

    data_dir: str = "speakrs-data"
    """Folder of the journal and the results."""

    bundle: str = ""
    """Model bundle by name or folder; empty takes the default. `embedded-fast` carries three times as many streams."""

    backend: str = "auto"
    """Runtime and device of the networks."""

    mode: str = "auto"
    """Way to run, such as `cuda-fast`; sets `backend`."""

    embedding: Sharing = "fast"
    """How windows share the embedding network where they cannot do so exactly: `fast` or `exact`."""

    threads: int = 1
    """Threads of one inference."""

    tuned: str = ""
    """File of pipeline settings, as `speakrs-stream tune` writes them; empty takes the bundle's own."""

    voices_dir: str = ""
    """Folder of enrolled voices (`speakrs-stream voices`) that clients may have recognised by name; empty: none."""

    tokens_file: str = ""
    """File of tokens, one a line: name, scopes (ingest,view,admin) and token, separated by blanks."""

    jwt_secret_file: str = ""
    """File with the HS256 secret of JSON Web Tokens, at least 32 bytes; empty accepts none."""

    jwt_public_key_file: str = ""
    """File with the Ed25519 public key (PEM) of JSON Web Tokens; empty accepts none."""

    jwt_audience: str = "speakrs"
    """What the `aud` claim must be."""

    origins: str = ""
    """Web origins that may connect besides the server's own, separated by commas."""

    hosts: str = ""
    """Host names that requests may be for, separated by commas; empty: loopback names on loopback, any elsewhere."""

    tls_cert: str = ""
    """File with the certificate chain (PEM); empty speaks plain WebSocket."""

    tls_key: str = ""
    """File with the private key (PEM) of `tls_cert`."""

    max_sessions: int = 256
    """Sessions with a connection or awaiting one, at most."""

    sessions_per_key: int = 16
    """Sessions of one token at most."""

    viewers_per_session: int = 64
    """Viewers of one session at most."""

    max_handshakes: int = 512
    """Connections at most, those that have not said anything yet included."""

    max_frame_bytes: int = 65_536
    """Bytes of one audio frame at most, at least 1024."""

    max_frame_ms: int = 1_000
    """Milliseconds of one audio frame at most."""

    max_unacked_ms: int = 10_000
    """Milliseconds of audio received and not worked on, after which a live client is warned and a file is paused."""

    max_rate: float = 2.0
    """Times real time that a live client may send."""

    max_session_s: int = 43_200
    """Seconds of audio of one session at most."""

    idle_s: float = 60.0
    """Seconds without audio and ping after which a connection is closed."""

    hello_timeout_s: float = 5.0
    """Seconds within which a connection must say what it wants."""

    heartbeat_s: float = 10.0
    """Seconds between heartbeats."""

    control_rate: float = 20.0
    """Messages per second that a client may send besides audio."""

    send_timeout_s: float = 5.0
    """Seconds after which a connection that takes no data is aborted."""

    drain_timeout_s: float = 20.0
    """Seconds from SIGTERM until the server is gone, at most 25."""

    resume_window_s: int = 300
    """Seconds that a session without a connection is kept open."""

    result_ttl_s: int = 86_400
    """Seconds that a result and its events are kept."""

    durability: Durability = "synced"
    """What an acknowledgement promises: nothing, surviving a killed process, or surviving a power cut."""

    commit_interval_ms: int = 20
    """Milliseconds that the journal gathers records before it writes them."""

    inference_timeout_s: float = 4.0
    """Seconds after which networks that do not answer are given up (later where they are always slow)."""

    snapshot_interval_s: int = 10
    """Seconds of audio between snapshots of a session."""

    disk_reserve_mb: int = 512
    """Mebibytes of free disk below which no session is opened."""

    journal_per_session_mb: int = 2_048
    """Mebibytes of journal that one session may fill."""

    max_delay_ms: int = 13_000
    """Milliseconds within which turns are final, for sessions that do not say."""

    captions: str = ""
    """Recognizer that listens for words: pocketsphinx, faster-whisper, another installed one, or module:function."""

    captions_model: str = ""
    """Model of the recognizer, a name or a folder; empty for its own choice."""

    captions_language: str = ""
    """Language of the recognizer, such as en; empty for its own choice."""

    captions_processes: int = 1
    """Processes that recognizers share."""

    captions_sessions: int = 4
    """Sessions that are listened to for words at most."""

    captions_max_lag_s: float = 30.0
    """Seconds that captions of a live session may be behind before sound is left out."""

    max_batch: int = 16
    """Inferences of one network that are run together at most."""

    max_wait_ms: int = 0
    """Milliseconds that an inference waits for others to be run with; on a GPU some 4 are worth it."""

    load_limit: float = 0.8
    """Share of the time that sessions may take, by measurement, before new ones are refused; 0 admits all."""

    lanes: int = -1
    """Batches run at a time, each in a thread of its own; -1: one a core, one on a GPU; 0: in the thread that hears."""

    log_level: LogLevel = "info"
    """Least severe log lines that are written."""

    def __post_init__(self) -> None:
        for name in ("port", "admin_port"):
            if not -1 <= getattr(self, name) <= 65_535 or self.port < 0:
                raise ConfigError(f"{name} must be a TCP port, got {getattr(self, name)}")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int | float) and field.name not in (*MAY_BE_NEGATIVE, *MAY_BE_ZERO) and value <= 0:
                raise ConfigError(f"{field.name} must be above 0, got {value}")
            if field.name in MAY_BE_ZERO and value < 0:
                raise ConfigError(f"{field.name} cannot be negative, got {value}")
        if self.max_frame_bytes < 1024 or self.max_frame_bytes > 2**20:
            raise ConfigError(f"max_frame_bytes must be 1024 to 1048576, got {self.max_frame_bytes}")
        if self.load_limit > 1:
            raise ConfigError(f"load_limit is a share, at most 1, got {self.load_limit}")
        if self.lanes < -1:
            raise ConfigError(f"lanes must be at least -1, got {self.lanes}")
        if self.drain_timeout_s > 25:
            raise ConfigError(f"drain_timeout_s must be at most 25, got {self.drain_timeout_s}")
        if not 1_000 <= self.max_delay_ms <= 120_000:
            raise ConfigError(f"max_delay_ms must be 1000 to 120000, got {self.max_delay_ms}")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ConfigError("tls_cert and tls_key belong together: give both or neither")
        if not self.loopback and not (self.tokens_file or self.jwt_secret_file or self.jwt_public_key_file):
            raise ConfigError(
                f"listening on {self.host} lets anybody in: set tokens_file, jwt_secret_file or jwt_public_key_file, "
                "or listen on 127.0.0.1"
            )

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.host)

    @property
    def guarded(self) -> bool:
        """Whether a token is needed."""
        return bool(self.tokens_file or self.jwt_secret_file or self.jwt_public_key_file)

    @property
    def origin_list(self) -> tuple[str, ...]:
        """`origins`, one by one."""
        return _list(self.origins)

    @property
    def host_list(self) -> tuple[str, ...]:
        """`hosts`, one by one, in lower case."""
        return _list(self.hosts.lower())


MAY_BE_NEGATIVE = ("port", "admin_port", "lanes")
"""Settings with checks of their own."""
MAY_BE_ZERO = ("commit_interval_ms", "disk_reserve_mb", "load_limit", "max_wait_ms")
"""Settings that may be 0."""


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own, reached by nobody else."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def load(
    *, flags: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None, file: Path | None = None
) -> Settings:
    """Settings from flags (None: not given), then environment, then a TOML file, then defaults.

    Raises ConfigError that names the setting and where it came from.
    """
    kinds = get_type_hints(Settings)
    chosen: dict[str, Any] = {}
    for source, values in (("the file", _read(file)), ("the environment", _of_environment(environment or {}, kinds))):
        chosen |= _checked(values, kinds, source)
    chosen |= _checked({name: value for name, value in (flags or {}).items() if value is not None}, kinds, "a flag")
    return Settings(**chosen)


def _read(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the settings in {file}: {error}") from error


def _of_environment(environment: Mapping[str, str], kinds: Mapping[str, Any]) -> dict[str, str]:
    found = {name: environment[PREFIX + name.upper()] for name in kinds if PREFIX + name.upper() in environment}
    return found


def _checked(values: Mapping[str, Any], kinds: Mapping[str, Any], source: str) -> dict[str, Any]:
    return {name: _one(name, value, kinds, source) for name, value in values.items()}


def _one(name: str, value: Any, kinds: Mapping[str, Any], source: str) -> Any:
    if name not in kinds:
        raise ConfigError(f"{source} sets {name!r}, which is no setting; there are {', '.join(kinds)}")
    kind = kinds[name]
    choices = get_args(kind)
    try:
        if choices:
            if value not in choices:
                raise ValueError(f"choose one of {', '.join(choices)}")
            return value
        if kind is str:
            if not isinstance(value, str):
                raise ValueError("it must be text")
            return value
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError("it must be a number")
        if kind is int and isinstance(value, float):
            raise ValueError("it must be a whole number")
        return kind(value)
    except ValueError as error:
        raise ConfigError(f"{source} sets {name} to {value!r}: {error}") from error


def as_toml(settings: Settings) -> str:
    """All settings as a file that can be read back; paths of secrets are shown, secrets are in files only."""
    lines = []
    for field in fields(settings):
        value = getattr(settings, field.name)
        escaped = value.replace("\\", "\\\\").replace('"', '\\"') if isinstance(value, str) else value
        lines.append(f'{field.name} = "{escaped}"' if isinstance(value, str) else f"{field.name} = {escaped}")
    return "\n".join(lines) + "\n"
