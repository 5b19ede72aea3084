"""The configuration: what is read, what wins, and the message when it is wrong."""

from __future__ import annotations

import math
import re
import runpy
from pathlib import Path

import pytest

from bot.config.environment import Environment
from bot.config.models import ChannelTable
from bot.config.settings import RUN_CONFIG, list_plain_variables, load_settings
from bot.errors import SettingsError
from bot.sandbox.state.demo import PEOPLE
from bot.storage.retention import Retention
from knowledge.interfaces import EVERYONE
from knowledge.settings import PathRights, PathWeight
from knowledge.stores.registry import STORES

ROOT = Path(__file__).parents[2]

TOML = '[[source]]\nname = "handbook"\nkind = "folder"\npath = "docs"\n'


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "kvasir.toml").write_text(TOML)
    return tmp_path


def complaint(place: Path, environ: dict[str, str] | None = None, **options: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ or {}, place, **options)
    return str(caught.value)


def test_the_example_lists_every_variable() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    listed = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
    assert listed == set(Environment.model_fields)


def test_the_reference_is_what_the_models_say() -> None:
    made = runpy.run_path(str(ROOT / "scripts" / "make_configuration.py"))["build_page"]()
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert page == made, "run scripts/make_configuration.py"


def test_the_example_as_it_stands_opens_the_workspace_on_this_machine(place: Path) -> None:
    (place / ".env").write_text((ROOT / ".env.example").read_text(encoding="utf-8"))
    assert load_settings({}, place).slack is None


def test_a_source_and_the_defaults(place: Path) -> None:
    settings = load_settings({"HOME": str(place)}, place)
    source, _added = settings.knowledge.sources
    assert (source.name, source.kind, source.options) == ("handbook", "folder", {"path": "docs"})
    assert source.base_dir == place
    assert settings.home.parts[-3:] == (".local", "share", "kvasir")
    assert settings.database_url.startswith("sqlite:///")
    assert settings.sandbox_port == 3000


def test_the_environment_wins_over_the_file_beside_the_configuration(place: Path) -> None:
    (place / ".env").write_text("KVASIR_MODEL=R1-Distill-Qwen-7B\nKVASIR_SANDBOX_PORT=4000\n")
    settings = load_settings({"KVASIR_SANDBOX_PORT": "5000", "KVASIR_HOME": "state"}, place)
    assert settings.engine.model == "R1-Distill-Qwen-7B"
    assert settings.sandbox_port == 5000
    assert settings.home == place / "state", "relative paths start at the configuration"


def test_metrics_and_the_quiet_hour(place: Path) -> None:
    plain = load_settings({}, place)
    assert (plain.metrics_port, plain.metrics_host, plain.configuration.quiet_hour) == (None, "127.0.0.1", "30 4 * * *")
    (place / "kvasir.toml").write_text(TOML + '[engine]\nquiet_hour = ""\n')
    message = load_settings({"KVASIR_METRICS_PORT": "9464", "KVASIR_METRICS_HOST": "0.0.0.0"}, place)
    assert (message.metrics_port, message.metrics_host, message.configuration.quiet_hour) == (9464, "0.0.0.0", None)


def test_nothing_to_read_names_the_next_step(tmp_path: Path) -> None:
    assert "docs/sources.md" in complaint(tmp_path)
    assert "does not exist" in complaint(tmp_path, config=Path("elsewhere.toml"))
    assert "does not exist" in complaint(tmp_path, {"KVASIR_CONFIG": "elsewhere.toml"})


def test_a_first_run_answers_from_a_folder_and_says_where_it_is_configured(tmp_path: Path) -> None:
    (tmp_path / 'my "docs"').mkdir()
    settings = load_settings({}, tmp_path, default_docs=tmp_path / 'my "docs"')
    source, *_added = settings.knowledge.sources
    assert source.options == {"path": str(tmp_path / 'my "docs"')}
    assert [one.path for one in source.weights] == ["benchmarks.md", "decisions.md"]
    assert RUN_CONFIG in complaint(tmp_path)
    assert load_settings({}, tmp_path, config=Path(RUN_CONFIG)).knowledge.sources == settings.knowledge.sources


def test_the_first_run_has_an_owner_only_in_the_workspace_on_this_machine(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    owner = next(one for one in PEOPLE if one.role == "owner")
    first = load_settings({}, tmp_path, default_docs=Path("docs"))
    assert first.configuration.access.owners == {owner.id}
    (tmp_path / ".env").write_text("SLACK_BOT_TOKEN=xoxb-1\nSLACK_APP_TOKEN=xapp-1\n")
    connected = load_settings({}, tmp_path, default_docs=Path("docs"))
    assert connected.configuration.access.owners == frozenset()


def test_a_folder_named_at_the_start_wins_over_the_configuration(place: Path) -> None:
    (place / "other").mkdir()
    other = load_settings({}, place, docs=place / "other").knowledge.sources[0]
    assert (other.name, other.weights) == ("other", ())
    assert load_settings({}, place, default_docs=place / "other").knowledge.sources[0].name == "handbook"
    assert "not a folder" in complaint(place, docs=place / "absent")


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({"SLACK_BOT_TOKEN": "xoxb-1"}, ("SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET")),
        ({"SLACK_APP_TOKEN": "xapp-1"}, ("SLACK_BOT_TOKEN",)),
        ({"SLACK_SIGNING_SECRET": "s"}, ("SLACK_BOT_TOKEN",)),
        ({"SLACK_API_URL": "http://127.0.0.1:1/api/"}, ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN")),
        ({"SLACK_TEAM": "T1"}, ("SLACK_BOT_TOKEN",)),
        ({"SLACK_BOT_TOKEN": "xapp-1", "SLACK_APP_TOKEN": "xapp-1"}, ("SLACK_BOT_TOKEN", "xoxb-")),
    ],
)
def test_a_partial_set_of_slack_variables_names_what_is_missing(
    place: Path, environ: dict[str, str], names: tuple[str, ...]
) -> None:
    message = complaint(place, environ)
    assert all(name in message for name in names)


def test_slack_over_socket_mode_and_over_http(place: Path) -> None:
    socket = load_settings({"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1"}, place).slack
    http = load_settings({"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_SIGNING_SECRET": "s", "PORT": "8080"}, place).slack
    assert socket is not None
    assert socket.app_token == "xapp-1"
    assert http is not None
    assert (http.app_token, http.port) == (None, 8080)


@pytest.mark.parametrize(
    ("toml", "names"),
    [
        (TOML.replace("[[source]]", "[[sources]]"), ("sources", "Did you mean “source”?")),
        (TOML + '[engine]\nquiet_hour = "at night"\n', ("quiet_hour", "cron line")),
        (TOML + 'schedule = "every day"\n', ("schedule", "cron line", "it has 2 fields instead of 5")),
        (TOML + 'schedule = "61 * * * *"\n', ("schedule", "cron line", "61")),
        (TOML + '[sync]\nnightly = "a b c d e"\n', ("nightly", "cron line")),
        (TOML + '[slack]\ndigest = "0 9 * * mo"\n', ("digest", "cron line")),
        (TOML + '[sync]\ntimezone = "Europe/Atlantis"\n', ("timezone", "Europe/Berlin", "is unknown")),
        (TOML + '[sync]\ntimezone = "../secret"\n', ("timezone", "Europe/Berlin")),
        (TOML + '[sync]\nnigthly = ""\n', ("nigthly", "Did you mean “nightly”?")),
        (TOML + TOML, ("two sources", "handbook")),
        (TOML + TOML.replace("handbook", "Handbook"), ("two sources", "handbook")),
        (TOML.replace('"handbook"', "'the \"new\" one'"), ("name", 'a text without "')),
        ('[[source]]\nname = "a"\n', ("no kind",)),
        ("", ("names no source",)),
        ("[[source]\n", ("not valid TOML",)),
        (TOML.replace('"folder"', "3"), ("kind", "text")),
    ],
)
def test_a_wrong_configuration_names_the_place(place: Path, toml: str, names: tuple[str, ...]) -> None:
    (place / "kvasir.toml").write_text(toml)
    message = complaint(place)
    assert all(name in message for name in names)


def test_schedules_have_a_time_zone(place: Path) -> None:
    assert load_settings({}, place).knowledge.timezone is None
    with (place / "kvasir.toml").open("a", encoding="utf-8") as file:
        file.write('schedule = "15 6 * * 1-5"\n[sync]\ntimezone = "Europe/Berlin"\n')
    settings = load_settings({}, place).knowledge
    assert (settings.timezone, settings.sources[0].schedule) == ("Europe/Berlin", "15 6 * * 1-5")


def test_variables_of_kubernetes_services_are_ignored(place: Path) -> None:
    """Services may be called kvasir, kvasir-engine, kvasir-health or slack."""
    links = {
        "KVASIR_PORT": "tcp://10.0.0.7:3000", "KVASIR_PORT_3000_TCP": "tcp://10.0.0.7:3000",
        "KVASIR_PORT_3000_TCP_PROTO": "tcp", "KVASIR_PORT_3000_TCP_PORT": "3000",
        "KVASIR_PORT_3000_TCP_ADDR": "10.0.0.7", "KVASIR_SERVICE_HOST": "10.0.0.7", "KVASIR_SERVICE_PORT": "3000",
        "KVASIR_SERVICE_PORT_HTTP": "3000", "KVASIR_ENGINE_PORT": "udp://10.0.0.8:30000",
        "KVASIR_ENGINE_SERVICE_HOST": "10.0.0.8", "KVASIR_HEALTH_PORT": "tcp://10.0.0.9:8081",
        "KVASIR_HEALTH_SERVICE_HOST": "10.0.0.9",
    }  # fmt: skip
    settings = load_settings({**links, "SLACK_SERVICE_HOST": "10.0.0.1", "PORT": "8080"}, place)
    assert settings.service_links == tuple(sorted(links))
    assert (settings.health_port, settings.slack) == (None, None)
    ours = load_settings({**links, "KVASIR_HEALTH_PORT": "8081", "KVASIR_DRAIN_S": "30"}, place)
    assert (ours.health_port, ours.drain_s) == (8081, 30.0)
    assert "KVASIR_PORT" in complaint(place, {"KVASIR_PORT": "3000"}), "this one somebody meant"
    assert "KVASIR_HEALTH_PORT" in complaint(place, {"KVASIR_HEALTH_PORT": "tcp"})


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({"KVASIR_HOMES": "x"}, ("KVASIR_HOMES", "Did you mean “KVASIR_HOME”?")),
        ({"KVASIR_SANDBOX_PORT": "many"}, ("KVASIR_SANDBOX_PORT", "port number")),
        ({"KVASIR_ENGINE_URL": "http://ann:hush@gpu-1:30000"}, ("KVASIR_ENGINE_URL", "KVASIR_ENGINE_API_KEY")),
        ({"KVASIR_ENGINE_URL": "http://gpu-1:30000, http://ann@gpu-2:30000"}, ("KVASIR_ENGINE_URL", "password")),
        ({"KVASIR_ENGINE_URL": "http://gpu-1:30000?key=hush"}, ("KVASIR_ENGINE_URL",)),
        ({"WEAVIATE_URL": "localhost"}, ("WEAVIATE_URL", "http://")),
        ({"OPENSEARCH_URL": "https://kvasir:hush@o:9200"}, ("OPENSEARCH_URL", "OPENSEARCH_PASSWORD")),
        ({"ELASTICSEARCH_SHARDS": "0"}, ("ELASTICSEARCH_SHARDS", "1 to 1000")),
        ({"KVASIR_DATABASE_URL": "mysql://x"}, ("KVASIR_DATABASE_URL", "postgresql://")),
        ({"KVASIR_DATABASE_DIRECT_URL": "postgresql://u@h/d"}, ("KVASIR_DATABASE_DIRECT_URL", "same")),
        ({"KVASIR_STORE": "weavite"}, ("KVASIR_STORE", "Did you mean “weaviate”?", f"Known: {', '.join(STORES)}.")),
        ({"KVASIR_STORE": "weaviate"}, ("KVASIR_STORE", "WEAVIATE_URL is not set", ".env")),
        ({"KVASIR_STORE": "postgresql"}, ("KVASIR_STORE", "neither POSTGRESQL_URL nor KVASIR_DATABASE_URL", ".env")),
        (
            {"POSTGRESQL_URL": "postgresql://p/k", "WEAVIATE_URL": "http://w:8080"},
            ("Unset POSTGRESQL_URL, or set KVASIR_STORE to postgresql.",),
        ),
        (
            {"KVASIR_STORE": "lancedb", "WEAVIATE_URL": "http://w:8080"},
            ("The store is lancedb", "Unset WEAVIATE_URL, or set KVASIR_STORE to weaviate.", "KVASIR_PREVIOUS_STORE"),
        ),
        ({"KVASIR_PREVIOUS_STORE": "weavite"}, ("KVASIR_PREVIOUS_STORE", "Did you mean “weaviate”?")),
        ({"KVASIR_PREVIOUS_STORE": "weaviate"}, ("KVASIR_PREVIOUS_STORE", "WEAVIATE_URL is not set", ".env")),
    ],
)
def test_a_wrong_variable_names_itself_and_its_form(
    place: Path, environ: dict[str, str], names: tuple[str, ...]
) -> None:
    message = complaint(place, environ)
    assert all(name in message for name in names)


@pytest.mark.parametrize(
    ("environ", "store", "variables"),
    [
        ({"WEAVIATE_API_KEY": "hush-hush"}, "lancedb", set()),
        ({"KVASIR_STORE": "lancedb"}, "lancedb", set()),
        ({"WEAVIATE_URL": "http://w:8080"}, "weaviate", {"WEAVIATE_URL"}),
        (
            {"KVASIR_STORE": "weaviate", "WEAVIATE_URL": "http://w:8080", "WEAVIATE_API_KEY": "hush-hush"},
            "weaviate",
            {"WEAVIATE_URL", "WEAVIATE_API_KEY"},
        ),
        (
            {"KVASIR_PREVIOUS_STORE": "weaviate", "WEAVIATE_URL": "http://w:8080", "WEAVIATE_API_KEY": "hush-hush"},
            "lancedb",
            {"WEAVIATE_URL", "WEAVIATE_API_KEY"},
        ),
        ({"KVASIR_PREVIOUS_STORE": "lancedb", "WEAVIATE_URL": "http://w:8080"}, "weaviate", {"WEAVIATE_URL"}),
        (
            {"OPENSEARCH_URL": "https://o:9200", "OPENSEARCH_USER": "kvasir", "OPENSEARCH_PASSWORD": "hush-hush"},
            "opensearch",
            {"OPENSEARCH_URL", "OPENSEARCH_USER", "OPENSEARCH_PASSWORD"},
        ),
        (
            {"ELASTICSEARCH_URL": "https://e:9200", "ELASTICSEARCH_API_KEY": "hush-hush"},
            "elasticsearch",
            {"ELASTICSEARCH_URL", "ELASTICSEARCH_API_KEY"},
        ),
    ],
)
def test_a_variable_chooses_the_store(place: Path, environ: dict[str, str], store: str, variables: set[str]) -> None:
    settings = load_settings(environ, place)
    knowledge = settings.knowledge
    assert (knowledge.store, knowledge.store_variables.keys() & environ.keys()) == (store, variables)
    assert ("hush-hush" in settings.secrets) == any("KEY" in name or "PASSWORD" in name for name in variables)
    assert "hush-hush" not in repr(knowledge)


@pytest.mark.parametrize("own", [None, "postgresql://kvasir:hush-hush@vectors/kvasir"])
def test_the_store_in_postgresql_is_in_the_database_of_the_tables_or_in_its_own(place: Path, own: str | None) -> None:
    shared = "postgresql://kvasir:hush-hush@db/kvasir"
    environ = {"KVASIR_DATABASE_URL": shared, "KVASIR_STORE": "postgresql"} | ({"POSTGRESQL_URL": own} if own else {})
    settings = load_settings(environ, place)
    assert settings.knowledge.store_variables == {"POSTGRESQL_URL": own or shared}
    assert (own or shared) in settings.secrets
    assert list_plain_variables(environ, settings)["POSTGRESQL_URL" if own else "KVASIR_DATABASE_URL"] == ""
    assert "hush-hush" not in repr(settings.knowledge)


def test_variables_of_a_store_s_server_are_not_kvasir_s(place: Path) -> None:
    environ = {"POSTGRESQL_PASSWORD": "hush-hush", "POSTGRESQL_URL_FILE": "url", "WEAVIATE_TENANT": "acme"}
    (place / "url").write_text("postgresql://kvasir:hush-hush@db/kvasir")
    settings = load_settings(environ, place)
    assert list_plain_variables(environ, settings) == {"POSTGRESQL_URL": "", "WEAVIATE_TENANT": "acme"}


@pytest.mark.parametrize(
    ("environ", "namespace"),
    [({}, ""), ({"KVASIR_NAMESPACE": "acme"}, "acme"), ({"WEAVIATE_NAMESPACE": "acme"}, "acme"),
     ({"KVASIR_NAMESPACE": "acme", "WEAVIATE_NAMESPACE": "acme"}, "acme")],
)  # fmt: skip
def test_two_variables_name_the_installation(place: Path, environ: dict[str, str], namespace: str) -> None:
    assert load_settings(environ, place).knowledge.namespace == namespace


def test_two_names_of_the_installation_are_refused(place: Path) -> None:
    with pytest.raises(SettingsError, match="KVASIR_NAMESPACE and WEAVIATE_NAMESPACE differ"):
        load_settings({"KVASIR_NAMESPACE": "acme", "WEAVIATE_NAMESPACE": "globex"}, place)


def test_each_secret_of_a_store_is_declared() -> None:
    fields = Environment.model_fields
    for spec in STORES.values():
        own = {name for name in fields if name.startswith(f"{spec.name.upper()}_")}
        assert {name for name in own if "SecretStr" in str(fields[name].annotation)} == {*spec.secrets}
        assert spec.setting in {"", *own}


def test_no_secret_is_shown() -> None:
    secret = "hush-hush-hush"
    with pytest.raises(SettingsError) as caught:
        load_settings(
            {"SLACK_APP_TOKEN": f"xapp-{secret}", "SLACK_BOT_TOKEN": secret}, ROOT, config=ROOT / "pyproject.toml"
        )
    assert secret not in str(caught.value)


def test_settings_do_not_show_their_secrets(place: Path) -> None:
    secret = "hush-hush-hush"
    environ = {
        "SLACK_BOT_TOKEN": f"xoxb-{secret}",
        "SLACK_APP_TOKEN": f"xapp-{secret}",
        "KVASIR_ENGINE_API_KEY": secret,
        "WEAVIATE_API_KEY": secret,
        "KVASIR_DATABASE_URL": f"postgresql://kvasir:{secret}@db/kvasir",
    }
    settings = load_settings(environ, place)
    text = f"{settings!r} {settings.slack!r} {settings.engine!r} {settings.knowledge!r}"
    assert secret not in text
    assert secret in settings.database_url


def test_a_source_says_who_may_read_it_how_old_it_may_be_and_where_its_secrets_are(tmp_path: Path) -> None:
    (tmp_path / "kvasir.toml").write_text(
        '[[source]]\nname = "wiki"\nkind = "folder"\npath = "."\nreaders = ["C1", "U2"]\nmax_age = "26h"\n'
        'token_env = "WIKI_TOKEN"\n',
        encoding="utf-8",
    )
    settings = load_settings({"WIKI_TOKEN": "s3cret"}, tmp_path)
    spec, _added = settings.knowledge.sources
    assert (spec.readers, spec.max_age_s) == (frozenset({"C1", "U2"}), 93_600.0)
    assert spec.secrets == {"token": "s3cret"}
    assert "s3cret" in settings.secrets
    assert settings.engine.hidden_variables >= {"WIKI_TOKEN", "WEAVIATE_API_KEY", "BRAVE_API_KEY", "EXA_API_KEY"}
    assert "s3cret" not in repr(settings.engine)
    assert "s3cret" not in repr(spec)


def test_readers_are_ids_addresses_groups_of_other_systems_and_names_of_the_file(tmp_path: Path) -> None:
    text = (
        TOML + 'readers = ["U012AB3CD", "S012", "Ada@Company.com", "*", "guests", "world", "workspace:T1", '
        '"confluence:group:board", "Drive:Group:Staff@company.com", "Board of directors"]\n'
        '[identity]\nfile = "people.csv"\n'
    )
    (tmp_path / "kvasir.toml").write_text(text, encoding="utf-8")
    knowledge = load_settings({}, tmp_path).knowledge
    assert {"ada@company.com", "drive:group:staff@company.com", "Board of directors"} < knowledge.sources[0].readers
    assert knowledge.identity_file == tmp_path / "people.csv"


def test_a_source_says_what_its_documents_weigh(tmp_path: Path) -> None:
    (tmp_path / "kvasir.toml").write_text(
        TOML + 'weight = 0.5\n[[source.weights]]\npath = "archive/**"\nweight = 0.3\n' + TOML.replace("handbook", "b"),
        encoding="utf-8",
    )
    spec, other, _added = load_settings({}, tmp_path).knowledge.sources
    assert (spec.weight, spec.weights, spec.options) == (0.5, (PathWeight("archive/**", 0.3),), {"path": "docs"})
    assert (other.weight, other.weights) == (1.0, ())


def test_a_source_names_readers_of_some_documents_and_whose_members_it_means(tmp_path: Path) -> None:
    (tmp_path / "kvasir.toml").write_text(
        TOML
        + 'workspaces = ["T012AB3CD", "E02AB"]\nreaders = ["*", "guests"]\n'
        + '[[source.rights]]\npath = "hr/**"\nreaders = ["S012"]\n'
        + '[[source.rights]]\npath = "hr/open/**"\nreaders = ["*"]\n'
        + '[[source]]\nname = "wiki"\nkind = "confluence"\nrights = "ignore"\nworkspaces = ["T1A"]\n',
        encoding="utf-8",
    )
    spec, wiki, added = load_settings({}, tmp_path).knowledge.sources
    members = {"workspace:T012AB3CD", "workspace:E02AB"}
    assert (spec.readers, spec.options) == ({*members, "guests"}, {"path": "docs"})
    assert spec.rights == (PathRights("hr/**", frozenset({"S012"})), PathRights("hr/open/**", frozenset(members)))
    assert (wiki.readers, wiki.rights, wiki.options) == ({"workspace:T1A"}, (), {"rights": "ignore"})
    assert (added.readers, added.rights) == (EVERYONE, ())


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('workspaces = ["C1A"]', "workspaces should be a list of ids"),
        ("workspaces = []", "workspaces should be a list of ids"),
        ("rights = 3", r"write rights with two brackets: \[\[source.rights\]\]"),
        ('[[source.rights]]\npath = "hr"', r"rights\]\] of hr: readers should be a list"),
        ('[[source.rights]]\npath = "hr"\nreaders = []', "readers should be a list"),
        ('[[source.rights]]\npath = "hr"\nreader = ["U1"]', "Did you mean “readers”"),
        ('readers = "U1"', "readers should be a list"),
        ("readers = []", "readers should be a list"),
        ('readers = ["everyone"]', r'everyone. is nobody, so write "\*" for all full members'),
        ('readers = ["guest"]', 'so write "guests"'),
        ('readers = ["@ada"]', "write the Slack id of each person"),
        ('readers = ["C1,C2"]', "as an entry of its own"),
        ('readers = ["T012AB3CD"]', "is a workspace, a direct message or an app"),
        ('readers = ["workspace:C1"]', "is no workspace, so write its id"),
        ('readers = ["confluence:board"]', "is no reader, so write it like"),
        ('readers = ["ada@company@com"]', "is no e-mail address"),
        ('readers = ["a\\u001fb"]', "is empty or has control characters"),
        ('readers = ["board"]', r"reader 'board', but neither .* name a file that gives it to people: \[identity\]"),
        ('readers = ["board"]\n[identity]\nfile = "people.xls"', "file should be a .csv or .toml file"),
        ('max_age = "soon"', "max_age should be a span"),
        ("max_age = 3", "max_age should be a span"),
        ('token_env = "WIKI_TOKEN"', "WIKI_TOKEN, which is not set"),
        ("weight = 0", "Source wiki in .*: weight should be a number above 0 and at most 1"),
        ("weight = 1.5", "weight should be a number above 0"),
        ("weight = true", "weight should be a number above 0"),
        ("weight = nan", "weight should be a number above 0"),
        ("weights = 0.3", r"write weights with two brackets: \[\[source.weights\]\]"),
        ("[[source.weights]]\nweight = 0.3", "path should be a path such as"),
        ('[[source.weights]]\npath = "a.md"', r"weights\]\] of a.md: weight should be a number"),
        ('[[source.weights]]\npath = "a.md"\nweigth = 1', "Did you mean “weight”?"),
    ],
)
def test_what_every_source_may_say_is_checked(tmp_path: Path, line: str, says: str) -> None:
    text = f'[[source]]\nname = "wiki"\nkind = "folder"\npath = "."\n{line}\n'
    (tmp_path / "kvasir.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=says):
        load_settings({}, tmp_path)


def test_documents_can_be_added_wherever_no_source_takes_them(place: Path) -> None:
    assert [(s.name, s.kind) for s in load_settings({}, place).knowledge.sources] == [
        ("handbook", "folder"),
        ("added", "push"),
    ]
    (place / "kvasir.toml").write_text(TOML + '[[source]]\nname = "inbox"\nkind = "push"\n')
    assert [s.name for s in load_settings({}, place).knowledge.sources] == ["handbook", "inbox"]


def test_owners_and_channels(place: Path) -> None:
    assert load_settings({}, place).configuration.access.may_refresh("U1"), "reading again takes nothing away"
    assert not load_settings({}, place).configuration.access.is_owner("U1"), "what everybody reads has a named owner"
    (place / "kvasir.toml").write_text(
        TOML + '[access]\nowners = ["U012AB3CD"]\n[[channel]]\nid = "C034EF5GH"\nsearch = "in:handbook type:pdf"\n'
    )
    settings = load_settings({}, place)
    access = settings.configuration.access
    assert (access.may_refresh("U012AB3CD"), access.may_refresh("U1")) == (True, False)
    assert (access.is_owner("U012AB3CD"), access.is_owner("U1")) == (True, False)
    assert settings.configuration.channels == {"C034EF5GH": ChannelTable(id="C034EF5GH", search="in:handbook type:pdf")}


def test_source_has_owners_of_its_own(place: Path) -> None:
    own = TOML.replace('name = "handbook"', 'name = "handbook"\nowners = ["U0HANDBOOK"]')
    (place / "kvasir.toml").write_text(own + '[access]\nowners = ["U012AB3CD"]\n[slack]\nadmins = ["U0ADMIN"]\n')
    access = load_settings({}, place).configuration.access
    assert [access.is_owner("U0HANDBOOK", source) for source in ("handbook", "inbox", None)] == [True, False, False]
    assert [access.may_refresh("U0HANDBOOK", source) for source in ("handbook", "inbox", None)] == [True, False, False]
    assert access.is_owner("U012AB3CD", "handbook")
    assert access.admins == {"U0ADMIN"}


def test_other_apps_are_allowed_by_id_alone(place: Path) -> None:
    """An app may take any name."""
    (place / "kvasir.toml").write_text(TOML + '[slack]\napps = ["A012AB3CD", "B012AB3CD", "Wf012AB3CD"]\n')
    assert load_settings({}, place).configuration.apps == {"A012AB3CD", "B012AB3CD", "Wf012AB3CD"}
    (place / "kvasir.toml").write_text(TOML + '[slack]\napps = ["Deploybot"]\n')
    with pytest.raises(SettingsError, match="apps should be a list of Slack ids"):
        load_settings({}, place)


CHANNEL = '[[channel]]\nid = "C034EF5GH"\n'


def test_how_deep_is_thought_where_nobody_says(place: Path) -> None:
    """Normally, or as the answers have it, or as a channel does; a channel may say that alone."""
    assert load_settings({}, place).configuration.thinking.find_depth("C034EF5GH") == "normal"
    (place / "kvasir.toml").write_text(TOML + CHANNEL + 'think = "deep"\n[answers]\nthink = "off"\n')
    settings = load_settings({}, place)
    thinking = settings.configuration.thinking
    assert (thinking.find_depth("C034EF5GH"), thinking.find_depth("C1")) == ("deep", "off")
    assert settings.limits.unsupported == "mark"
    assert settings.configuration.channels["C034EF5GH"].search is None


def test_a_channel_may_fix_every_setting(place: Path) -> None:
    fixed = 'language = "zh"\ntone = "formal"\nmention_only = false\nunasked_per_hour = 2\n'
    (place / "kvasir.toml").write_text(TOML + CHANNEL + fixed)
    table = load_settings({}, place).configuration.channels["C034EF5GH"]
    assert (table.language, table.tone, table.mention_only, table.unasked_per_hour) == ("zh", "formal", False, 2)
    for wrong in ("tone = 'rude'", "language = 'de'", "unasked_per_hour = 21"):
        (place / "kvasir.toml").write_text(TOML + CHANNEL + wrong)
        with pytest.raises(SettingsError, match=wrong.partition(" ")[0]):
            load_settings({}, place)


def test_unsupported_sentences_are_treated_as_configured(place: Path) -> None:
    (place / "kvasir.toml").write_text(TOML + '[answers]\nunsupported = "drop"\n')
    assert load_settings({}, place).limits.unsupported == "drop"


@pytest.mark.parametrize(
    ("toml", "names"),
    [
        ('[access]\nowner = ["U1AB"]\n', ("owner", "Did you mean “owners”?")),
        ('[access]\nowners = "U1AB"\n', ("owners should be a list",)),
        ('[access]\nowners = ["@ada"]\n', ("owners should be a list", "U012AB3CD")),
        ("[access]\nowners = []\n", ("owners is empty", "leave it out")),
        (CHANNEL, ("search of C034EF5GH",)),
        (CHANNEL + 'think = "hard"\n', ("C034EF5GH", "deep, normal or off")),
        ("[answers]\nthink = true\n", ("[answers]", "deep, normal or off")),
        ('[answers]\nthinking = "deep"\n', ("Did you mean “think”?",)),
        ('[answers]\nunsupported = "hide"\n', ("[answers]", '"mark", "drop" or "show"')),
        ('[[channel]]\nid = "#help"\nsearch = "in:handbook"\n', ("Slack id",)),
        (CHANNEL + 'search = "in:handbok"\n', ("“handbok”", "Did you mean “handbook”?")),
        (CHANNEL + 'search = "in:handbook and more"\n', ("“and more”", "no filter")),
        (CHANNEL + 'search = "type:films"\n', ("“type:films”", "no filter")),
        (CHANNEL + 'search = "after:soon"\n', ("“soon” is not a date",)),
        (CHANNEL + 'search = "type:pdf"\n' + CHANNEL + 'search = "type:md"\n', ("two [[channel]]",)),
        ('[channel]\nid = "C034EF5GH"\nsearch = "type:pdf"\n', ("[[channel]]",)),
    ],
)
def test_what_is_wrong_with_owners_and_channels_is_said(place: Path, toml: str, names: tuple[str, ...]) -> None:
    (place / "kvasir.toml").write_text(TOML + toml)
    message = complaint(place)
    assert all(name in message for name in names), message


OAUTH = {
    "SLACK_APP_TOKEN": "xapp-1",
    "SLACK_CLIENT_ID": "1.2",
    "SLACK_CLIENT_SECRET": "client-secret",
    "KVASIR_TOKEN_KEYS": "0123456789abcdef0123456789abcdef0123456789A=, abcdefghijklmnopqrstuvwxyz0123456789ABCDEFA=",
    "KVASIR_PUBLIC_URL": "https://kvasir.example.com/",
}


def test_many_workspaces_by_oauth(place: Path) -> None:
    (place / "kvasir.toml").write_text(TOML + '[slack]\nworkspaces = ["T012AB3CD", "E012AB3CD"]\n')
    settings = load_settings(OAUTH, place)
    assert settings.slack is not None
    oauth = settings.slack.oauth
    assert oauth is not None
    assert (settings.slack.bot_token, oauth.workspaces) == ("", ("T012AB3CD", "E012AB3CD"))
    assert oauth.redirect_url == "https://kvasir.example.com/slack/oauth_redirect"
    assert len(oauth.token_keys) == 2
    secrets = {"client-secret", *oauth.token_keys}
    assert secrets <= set(settings.secrets)
    assert not any(secret in f"{settings!r} {settings.slack!r}" for secret in secrets)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"SLACK_CLIENT_SECRET": ""}, ("SLACK_CLIENT_SECRET is missing", "Basic Information")),
        ({"KVASIR_TOKEN_KEYS": "", "KVASIR_PUBLIC_URL": ""}, ("KVASIR_TOKEN_KEYS, KVASIR_PUBLIC_URL", "openssl rand")),
        ({"KVASIR_TOKEN_KEYS": " , "}, ("a key in KVASIR_TOKEN_KEYS is missing", "openssl rand")),
        ({"KVASIR_TOKEN_KEYS": "too-short"}, ("KVASIR_TOKEN_KEYS", "openssl rand")),
        ({"SLACK_BOT_TOKEN": "xoxb-1"}, ("SLACK_BOT_TOKEN is for one workspace", "Unset SLACK_BOT_TOKEN")),
        ({"SLACK_APP_TOKEN": ""}, ("SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET")),
        ({"KVASIR_PUBLIC_URL": "http://kvasir.example.com"}, ("KVASIR_PUBLIC_URL", "https://")),
        (dict.fromkeys(OAUTH, "") | {"KVASIR_TOKEN_KEYS": OAUTH["KVASIR_TOKEN_KEYS"]}, ("SLACK_CLIENT_ID",)),
    ],
)
def test_a_partial_set_of_oauth_variables_names_the_next_step(
    place: Path, changes: dict[str, str], names: tuple[str, ...]
) -> None:
    message = complaint(place, OAUTH | changes)
    assert all(name in message for name in names), message
    assert "client-secret" not in message


def test_how_long_something_is_kept(place: Path) -> None:
    assert load_settings({}, place).configuration.retention == Retention()
    table = '[retention]\nturns = "48h"\nthreads = "forever"\nverified = "90d"\nuploads = "12h"\n'
    (place / "kvasir.toml").write_text(TOML + table)
    retention = load_settings({}, place).configuration.retention
    assert (retention.turns_s, retention.feedback_s) == (172_800.0, 172_800.0), "votes go with their answers"
    assert (retention.threads_s, retention.verified_s, retention.uploads_s) == (math.inf, 7_776_000.0, 43_200.0)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('turns = "30"', 'turns should be a span in hours or days such as "12h" or "30d", or "forever"'),
        ('turns = "0d"', "turns should be a span"),
        ("audit = 30", "audit should be a span"),
        ('uploads = "never"', "uploads should be a span"),
        ('turn = "30d"', "has the unknown key 'turn'. Did you mean “turns”?"),
        ('feedback = "60d"', "feedback is kept longer than turns"),
        ('feedback = "forever"', "Raise turns, or lower feedback"),
    ],
)
def test_a_wrong_retention_is_refused_with_the_next_step(place: Path, line: str, why: str) -> None:
    (place / "kvasir.toml").write_text(f"{TOML}[retention]\n{line}\n")
    with pytest.raises(SettingsError, match=re.escape(why)):
        load_settings({}, place)
