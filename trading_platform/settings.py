"""The platform's configuration: one object, read from the environment and ``.env``, validated once.

With nothing set, the platform uses embedded servers and stores everything in ``./data``. Only :func:`load_settings`
reads the file: ``Settings(...)`` takes its arguments and the environment. ``.env.example`` lists all settings.
"""

from __future__ import annotations

import logging
import os
from functools import cache, cached_property
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from trading_platform.domain.errors import ConfigurationError

SETTINGS_FILE = "SETTINGS_FILE"
"""The environment variable that names the file of settings."""

_OTHERS = ("DAGSTER_", "PG", "TZ", "LC_", "TEST_")  # names in a settings file that other programs have a use for

_log = logging.getLogger(__name__)


class Settings(BaseSettings):
    """Every setting of the platform.

    Attributes:
        data_dir: folder of everything that the platform stores on disk.
        database_url: address of a PostgreSQL server; None means the embedded one in ``data_dir``.
        dagster_database_url: Dagster's own database; None means database ``dagster`` on the same server.
        redis_url: address of a Redis server; None means the embedded one.
        ingest_password, agent_password, dashboard_password: passwords of the three roles of the database; None
            means that the user of ``database_url`` assumes the role.
        features_directory: folder of the feature store, ``data_dir/features`` unless set (FEATURES_DIR).
        definitions_directory: folder of a user's own definitions of features; None if there is none
            (FEATURE_DEFINITIONS).
        feature_missing: what reads of features do where more than a tenth of a symbol's values in a month are missing:
            ``keep`` them, ``impute`` an earlier value and mark it, or ``exclude`` the rows.
        archive_directory: folder of the audit archive, ``data_dir/archive`` unless set (ARCHIVE_DIR).
        kraken_api_url: address of Kraken's REST, or of the local exchange.
        kraken_ws_url: address of Kraken's WebSocket v2, or of the local exchange's.
        kraken_live: feed of live data from Kraken: ``websocket`` gives trades and quotes; ``polling`` requests quotes
            alone by REST each second, where a WebSocket is not possible.
        kraken_requests_per_second: rate limit of public requests, of all processes together.
        kraken_history_days: days before now for which minutes are rebuilt from Kraken's trades by default;
            `backfill --start` goes further back.
        kraken_api_key: key of an account at Kraken, which is only read; None if there is none.
        kraken_api_secret: secret that signs the account's requests.
        kraken_tier: tier of the account, which determines its rate limits.
        kraken_account: the platform's name of the account.
        ibkr_host, ibkr_port: address of TWS or IB Gateway; without a host Interactive Brokers is not used.
        ibkr_client_id: the first of sixteen client numbers; each connection takes a free one.
        ibkr_account: account of the positions and executions; None means the only account of the login.
        ibkr_timezone: the gateway's time zone: executions are available from its midnight, and times that the gateway
            sends without a zone are in it.
        ibkr_history_requests: rate limit of requests for bars in any ten minutes.
        ibkr_market_data_lines: maximum number of instruments with live data.
        ibkr_maintenance: windows in which the gateway is expected to be unavailable
            (:func:`trading_platform.sources.ibkr.maintenance.parse_maintenance`).
        yahoo_api_url: address of Yahoo's prices.
        yahoo_actions: fetch the splits and dividends of all shares and funds from Yahoo, and not only of those
            with bars from Yahoo.
        news_allowed_hosts: hosts of feeds that need not be on the public internet, separated by commas, such as
            ``localhost:8101``.
        newsapi_key: key of NewsAPI; None if there is none.
        sentiment_model: folder of a model of sentiment such as FinBERT; None means the platform's own.
        sentiment_revision: the revision that it must have; None means any.
        sentiment_engine: what runs it: ``onnx`` or ``torch``; ``auto`` means ONNX Runtime if it was exported.
        telegram_bot_token, telegram_chat_id: the bot that alerts are sent by, and the chat they are sent to.
        telegram_api_url: address of Telegram's API.
        alert_urls: further addresses that alerts are sent to, separated by blanks, as apprise spells them.
        heartbeat_url: address that is requested every minute while alerting is alive.
        mcp_tokens: who may call the MCP server over HTTP, as ``NAME:SCOPES:TOKEN`` separated by ``;``
            (:mod:`trading_platform.mcp.access`).
        mcp_read_only: leave out the tools of the MCP server that write.
        mcp_allow_orders: offer the tool of the MCP server that places orders.
        mcp_allowed_hosts: further host names by which clients reach it, separated by commas.
    """

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)

    data_dir: Path = Field(default=Path("data"))
    database_url: SecretStr | None = None
    dagster_database_url: SecretStr | None = None
    ingest_password: SecretStr | None = None
    agent_password: SecretStr | None = None
    dashboard_password: SecretStr | None = None
    redis_url: SecretStr | None = None
    features_dir: Path | None = None
    feature_definitions: Path | None = None
    quality_rules: Path | None = None
    feature_missing: Literal["keep", "impute", "exclude"] = "keep"
    archive_dir: Path | None = None
    logs_dir: Path | None = None
    kraken_api_url: str = "https://api.kraken.com"
    kraken_ws_url: str = "wss://ws.kraken.com/v2"
    kraken_live: Literal["websocket", "polling"] = "websocket"
    kraken_requests_per_second: float = Field(default=1.0, gt=0)
    kraken_history_days: int = Field(default=2, ge=1, le=36_600)
    kraken_api_key: SecretStr | None = None
    kraken_api_secret: SecretStr | None = None
    kraken_tier: Literal["starter", "intermediate", "pro"] = "starter"
    kraken_account: str = "main"
    ibkr_host: str | None = None
    ibkr_port: int = Field(default=4002, gt=0, lt=65536)
    ibkr_client_id: int = Field(default=10, ge=1)
    ibkr_account: str | None = None
    ibkr_timezone: ZoneInfo = ZoneInfo("America/New_York")
    ibkr_history_requests: int = Field(default=60, gt=0)
    ibkr_market_data_lines: int = Field(default=100, gt=0)
    ibkr_maintenance: str = "daily 00:15-01:45 America/New_York; Fri 23:00-Sat 03:00 America/New_York"
    yahoo_api_url: str = "https://query2.finance.yahoo.com"
    yahoo_actions: bool = False
    news_allowed_hosts: str = ""
    newsapi_key: SecretStr | None = None
    sentiment_model: Path | None = None
    sentiment_revision: str | None = None
    sentiment_engine: Literal["auto", "onnx", "torch"] = "auto"
    telegram_bot_token: SecretStr | None = None
    telegram_chat_id: str | None = None
    telegram_api_url: str = "https://api.telegram.org"
    alert_urls: SecretStr | None = None
    heartbeat_url: SecretStr | None = None
    mcp_tokens: SecretStr | None = None
    mcp_read_only: bool = False
    mcp_allow_orders: bool = False
    mcp_allowed_hosts: str = ""

    @cached_property
    def root(self) -> Path:
        """``data_dir`` as an absolute path."""
        return self.data_dir.expanduser().resolve()

    def role_passwords(self) -> dict[str, str]:
        """The configured passwords of the database's roles, by role, in clear text; never print them."""
        secrets = {"ingest": self.ingest_password, "agent": self.agent_password, "dashboard": self.dashboard_password}
        return {role: secret.get_secret_value() for role, secret in secrets.items() if secret is not None}

    @cached_property
    def features_directory(self) -> Path:
        """Folder of the feature store."""
        return (self.features_dir or self.root / "features").expanduser().resolve()

    @cached_property
    def definitions_directory(self) -> Path | None:
        """Folder of a user's own definitions of features, whose code runs in every process that computes features."""
        return None if self.feature_definitions is None else self.feature_definitions.expanduser().resolve()

    @cached_property
    def quality_rules_file(self) -> Path | None:
        """File of a user's own rules for stored rows (docs/checks.md)."""
        return None if self.quality_rules is None else self.quality_rules.expanduser().resolve()

    @cached_property
    def training_sets_directory(self) -> Path:
        """Folder of the training sets that agents ask the MCP server for."""
        return self.root / "training_sets"

    @cached_property
    def archive_directory(self) -> Path:
        """Folder of the audit archive: decisions and system events older than a year."""
        return (self.archive_dir or self.root / "archive").expanduser().resolve()

    @cached_property
    def logs_directory(self) -> Path:
        """Folder of the log files."""
        return (self.logs_dir or self.root / "logs").expanduser().resolve()

    @cached_property
    def yahoo_directory(self) -> Path:
        """Folder in which yfinance caches its cookies and time zones."""
        return self.root / "yahoo"

    @cached_property
    def models_directory(self) -> Path:
        """Folder of the models of sentiment that were fetched."""
        return self.root / "models"

    @cached_property
    def imports_directory(self) -> Path:
        """Folder of the landing area: imported rows in the platform's own format."""
        return self.root / "imports"


def settings_file() -> Path | None:
    """The file that settings are read from where the environment does not have them; None: from none.

    It is the one that SETTINGS_FILE names, or ``.env`` in the current folder if SETTINGS_FILE is not set. Set and
    empty means none: an empty DATABASE_URL in the environment is one that is not set, so that only this keeps
    that of the file away.

    Raises:
        ConfigurationError: if there is no such file as SETTINGS_FILE names.
    """
    named = os.environ.get(SETTINGS_FILE)
    file = Path(".env" if named is None else named).expanduser()
    if named == "" or (named is None and not file.is_file()):
        return None
    if not file.is_file():
        raise ConfigurationError(
            "The file of settings is missing.",
            expected=f"the file that {SETTINGS_FILE} names",
            received=f"no file {file}",
            remedy=f"correct {SETTINGS_FILE}, or leave it empty to read no file",
        )
    return file.absolute()


@cache
def _name_unknown(file: Path) -> None:
    """Logs, once in a process, the names in a settings file that are no settings, such as misspelled ones."""
    from difflib import get_close_matches

    from dotenv import dotenv_values

    known = {name.upper() for name in Settings.model_fields} | {SETTINGS_FILE}
    unknown = [name for name in dotenv_values(file) if name.upper() not in known and not name.startswith(_OTHERS)]
    if unknown:
        near = {name: get_close_matches(name.upper(), known, n=1) for name in unknown}
        words = ", ".join(f"{name} (did you mean {near[name][0]}?)" if near[name] else name for name in unknown)
        _log.warning("%s has names that are no settings of the platform and have no effect on it: %s.", file, words)


def load_settings() -> Settings:
    """Reads the settings from the environment, and from :func:`settings_file` what the environment does not set.

    Names in that file that are no settings are logged as a warning.

    Raises:
        ConfigurationError: names each variable with an invalid value, and what is expected.
    """
    try:
        file = settings_file()
        settings = Settings(_env_file=file)
        if file is not None:
            _name_unknown(file)
        return settings  # noqa: TRY300 - the errors below are those of all of it
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(
            f"The file {os.environ.get(SETTINGS_FILE, '.env')} cannot be read.",
            expected="text in UTF-8, a line NAME=value for each setting",
            received=str(error),
            remedy="correct or remove it (.env.example is one that works)",
        ) from None
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']).upper()}: {fault['msg']}" for fault in error.errors()
        )
        raise ConfigurationError(
            "The configuration cannot be used.",
            received=faults,
            remedy="correct these variables in the environment or in .env (.env.example explains each)",
        ) from None
