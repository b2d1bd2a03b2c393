"""The section of the gateway: signals over HTTP."""

from pathlib import Path

from pydantic import Field, model_validator

from schemas.configuration.fields import Section

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Gateway(Section):
    """How ``alphawire gateway`` serves signals; see docs/gateway.md."""

    http_host: str = Field("127.0.0.1", description="where it listens; other than loopback only with a token_file")
    http_port: int = Field(6069, ge=0, le=65535, description="0 takes a free one")
    token_file: Path | None = Field(None, description="its first line is the token that clients send")
    clients: int = Field(256, ge=1, le=100_000, description="streams at a time; more are asked to come back later")
    patience: float = Field(10.0, gt=0, le=3600, description="seconds, then a client that reads nothing is cut off")

    @model_validator(mode="after")
    def _nobody_elses(self) -> "Gateway":
        if self.http_host not in LOOPBACK and self.token_file is None:
            raise ValueError(
                f"http_host {self.http_host} lets others read the signals; give a token_file, or listen on 127.0.0.1"
            )
        return self
