"""The Helm chart, as helm 3 and 4 render it: no cluster is needed to see what would be sent to one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from multinic.dashboard import options
from multinic.host import config
from tests.fleet.api import api
from tests.fleet.helm import CHART, NEWEST, OLDEST, RELEASE, VERSIONS, helm, objects, template, validate
from tests.hosts import CHECKOUT

GOLDEN = Path(__file__).parent / "chart"
CASES = {"least": NEWEST, "everything": NEWEST, "oldest": OLDEST}
GIVEN = ("--set", "database.host=db1,database.password=hush-hush")
DASHBOARD = ("--set", "dashboard.enabled=true,dashboard.database.existingSecret=reader")


def tidied(text: str) -> str:
    """Return what was rendered without the empty lines in which the versions of helm differ."""
    return re.sub(r"\n+---", "\n---", text.rstrip()) + "\n"


@pytest.mark.parametrize("name", CASES)
def test_the_chart_renders_as_agreed_and_valid_with_both_helms(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    done = {
        version: template(version, "--values", GOLDEN / name / "values.yaml", kubernetes=CASES[name])
        for version in VERSIONS
    }
    assert [one.stderr for one in done.values()] == ["", ""]
    rendered = {version: tidied(one.stdout) for version, one in done.items()}
    file = GOLDEN / name / "rendered.yaml"
    if request.config.getoption("--update-golden", default=False):
        file.write_text(rendered["v3"])
    assert rendered["v3"] == file.read_text()
    assert rendered["v4"] == rendered["v3"]

    known = [one for one in yaml.safe_load_all(rendered["v3"]) if "monitoring" not in one["apiVersion"]]
    (tmp_path / "known.yaml").write_text(yaml.safe_dump_all(known))
    for kubernetes in {CASES[name], OLDEST}:
        if name == "least" or kubernetes == CASES[name]:
            said = validate(tmp_path / "known.yaml", kubernetes)
            fresh = name == "least" and kubernetes == OLDEST  # it was rendered for the newest
            assert said.returncode == 0 or (fresh and "appArmorProfile" in said.stdout), said.stdout


def test_the_settings_are_those_that_the_program_reads(tmp_path: Path) -> None:
    done = template("v3", "--values", GOLDEN / "everything/values.yaml")
    text = objects(done.stdout)["ConfigMap/multinic-agent-nics"]["data"]["multinic.toml"]
    assert "/etc/multinic/secrets/password" in text
    (tmp_path / "password").write_text("hush-hush\n")
    (tmp_path / "multinic.toml").write_text(text.replace("/etc/multinic/secrets", str(tmp_path)))
    (tmp_path / "multinic.toml").chmod(0o600)

    read = config.load(str(tmp_path / "multinic.toml"), {}, {})

    assert read.database.url.startswith("mysql://multi%20nic@db1.example.com,[fd00::1]:3307/nics?ssl_ca=")
    assert (read.poll_interval, read.listen, read.metrics_listen) == (90, "127.0.0.1:18080", "[::]:9811")
    assert (read.max_interfaces, read.routing_table_base, read.probe_addresses) == (20, 1000000, False)


def test_no_password_is_anywhere_but_in_a_secret() -> None:
    done = template("v4", *GIVEN, "--set", "purgeOnUninstall=true")
    found = objects(done.stdout)
    secrets = {name for name, one in found.items() if one["kind"] == "Secret"}
    assert secrets == {"Secret/multinic-agent-db", "Secret/multinic-agent-purge-db"}
    for name, one in found.items():
        assert "hush-hush" not in json.dumps(one)
        assert ("aHVzaC1odXNo" in json.dumps(one)) == (name in secrets)


@pytest.mark.parametrize("name", ["least", "everything"])
def test_the_settings_of_the_dashboard_are_those_that_it_reads(name: str, tmp_path: Path) -> None:
    more = DASHBOARD if name == "least" else ()
    found = objects(template("v3", "--values", GOLDEN / name / "values.yaml", *more).stdout)
    (text,) = (
        one["data"]["multinic.toml"] for key, one in found.items() if "ConfigMap" in key and "dash" in key
    )
    (tmp_path / "password").write_text("hush-hush\n")
    (tmp_path / "token").write_text("0123456789abcdef\n")
    (tmp_path / "multinic.toml").write_text(text.replace("/etc/multinic/secrets", str(tmp_path)))
    (tmp_path / "multinic.toml").chmod(0o440)
    (tmp_path / "password").chmod(0o440)

    read = config.load(str(tmp_path / "multinic.toml"), {}, {})
    dashboard = options.of_settings(read)

    assert read.warnings == ()
    assert read.database.password.reveal() == "hush-hush"
    if name == "least":
        assert read.database.url == "mysql://multinic-dashboard@192.168.1.100:3306/multinic"
        service = "multinic-agent-dashboard"
        assert dashboard.hosts == {service, f"{service}.network", f"{service}.network.svc"}
        assert (dashboard.listen, dashboard.prefix, dashboard.token.reveal()) == ("0.0.0.0:8090", "", "")
    else:  # the key of the agent's certificate is the agent's alone
        assert read.database.url.startswith("mysql://the%20reader@db1.example.com,[fd00::1]:3307/nics?")
        assert "ssl_ca=" in read.database.url
        assert "client.key" not in text
        assert {"ops.example.com", "nics.example.com", "wall.example.com"} < dashboard.hosts
        assert dashboard.proxies.has("10.244.7.7")
        assert (dashboard.listen, dashboard.prefix) == ("[::]:18090", "/network/nics")
        assert (dashboard.token.reveal(), dashboard.user_header) == ("0123456789abcdef", "x-remote-user")
        assert (dashboard.silent_after, dashboard.retired) == (1800, ("old-%",))


@pytest.mark.parametrize("kubernetes", [OLDEST, NEWEST])
def test_the_dashboard_is_valid_touches_no_node_and_is_chosen_by_no_selector_of_the_agent(
    kubernetes: str, tmp_path: Path
) -> None:
    done = template("v4", *GIVEN, *DASHBOARD, "--set", "appArmorProfile=", kubernetes=kubernetes)
    (tmp_path / "all.yaml").write_text(done.stdout)
    assert validate(tmp_path / "all.yaml", kubernetes).returncode == 0
    found = objects(done.stdout)
    ours = found["Deployment/multinic-agent-dashboard"]["spec"]["template"]
    pod, (container,) = ours["spec"], ours["spec"]["containers"]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert [next(iter(one.keys() - {"name"})) for one in pod["volumes"]] == ["projected"]
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": 65534,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    # What restarts it does not ask the database, and what asks it restarts nothing and takes no page away.
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    service = found["Service/multinic-agent-dashboard"]["spec"]
    assert service["publishNotReadyAddresses"]
    labels = ours["metadata"]["labels"].items()
    selector = found["DaemonSet/multinic-agent"]["spec"]["selector"]["matchLabels"].items()
    assert not selector <= labels
    assert service["selector"].items() <= labels


def test_there_is_no_dashboard_unless_it_is_asked_for() -> None:
    assert "dashboard" not in template("v3", *GIVEN, "--set", "dashboard.ingress.enabled=true").stdout


@pytest.mark.parametrize("version", VERSIONS)
def test_both_helms_find_no_fault(version: str) -> None:
    done = helm(version, "lint", "--strict", CHART, *GIVEN, *DASHBOARD)
    assert done.returncode == 0, done.stdout + done.stderr


WRONG = {
    "database.host=": "database.host is missing",
    "database.password=": "the password of the database is missing",
    "database.existingSecret=x": "database.password and database.existingSecret are both given",
    "database.host=a b": "/?database[./]host",
    "database.port=0": "/?database[./]port",
    "database.password=1234": "/?database[./]password",
    "database.tls.key=x": "database.tls.certificate and database.tls.key belong together",
    "agent.logLevel=loud": "/?agent[./]logLevel",
    "agent.pollInterval=soon": "/?agent[./]pollInterval",
    "agent.pollIntervall=3s": "pollIntervall",
    "agnet.port=80": "agnet",
    "agent.port=70000": "/?agent[./]port",
    "image.pullPolicy=Always": "image.pullPolicy Always asks a registry at every start, and none is known",
    "image.pullPolicy=Always,image.repository=localhost/multinic": 'is known for "localhost/multinic"',
    "image.digest=latest": "/?image[./]digest",
    "updateStrategy.type=Recreate": "/?updateStrategy[./]type",
    "updateStrategy.rollingUpdate.maxUnavailable=many": "/?updateStrategy[./]rollingUpdate[./]maxUnavailable",
    "terminationGracePeriodSeconds=5": "/?terminationGracePeriodSeconds",
    "podMonitor.enabled=true": "podMonitor.enabled needs agent.metrics.enabled",
    "agent.metrics.enabled=true,agent.metrics.port=8080": "agent.metrics.port and agent.port are both 8080",
    "dashboard.enabled=true": "dashboard.database.existingSecret is missing: .*`multinic db grants`",
    f"{DASHBOARD[1]},dashboard.ingress.enabled=true": "dashboard.ingress.hosts is missing",
    f"{DASHBOARD[1]},dashboard.userHeader=X-User": "dashboard.proxies names no proxy",
    f"{DASHBOARD[1]},dashboard.port=80": "/?dashboard[./]port",
    f"{DASHBOARD[1]},dashboard.prefix=/a/": "/?dashboard[./]prefix",
    f"{DASHBOARD[1]},dashboard.proxies={{ingress}}": "/?dashboard[./]proxies",
    f"{DASHBOARD[1]},image.pullPolicy=Always,image.repository=a/b": 'is known for "multinic-dashboard"',
    "dashboard.password=x": "password",
    # Of this chart as it was without a dashboard.
    "dashboard=null": "--reset-then-reuse-values",
    # What --reuse-values makes of an upgrade from another chart.
    "purgeOnUninstall=null,securityContext=null,global=null,livenessProbe=null": "--reset-then-reuse-values",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_value_is_named(wrong: str) -> None:
    for version in VERSIONS:
        done = template(version, *GIVEN, "--set", wrong)
        assert done.returncode == 1
        assert re.search(WRONG[wrong], done.stderr), done.stderr
        assert "hush-hush" not in done.stderr


def test_every_value_is_in_the_readme_and_in_the_schema() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    readme = (CHART / "README.md").read_text()
    schema = json.loads((CHART / "values.schema.json").read_text())

    def look(there: dict[str, Any], known: dict[str, Any], path: str) -> None:
        assert there.keys() <= known["properties"].keys()
        for key, value in there.items():
            deeper = f"{path}.{key}".lstrip(".")
            if isinstance(value, dict) and value and "properties" in known["properties"][key]:
                assert f"`{deeper}`" in readme or look(value, known["properties"][key], deeper) is None
            else:
                assert f"`{deeper}`" in readme

    look(values, schema, "")


def test_the_chart_has_the_version_and_the_alerts_of_the_program() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    from multinic import __version__

    assert chart["appVersion"] == chart["version"] == __version__
    assert (CHART / "files/alerts.yml").read_text() == (
        CHECKOUT / "docs/observability/alerts.yml"
    ).read_text()


def test_the_pods_of_the_earlier_chart_are_replaced_one_by_one() -> None:
    # No DaemonSet can get another selector: an upgrade from that chart must have that chart's.
    for release, name in ((RELEASE, "multinic-agent"), ("prod", "prod-multinic-agent")):
        done = helm("v3", "template", release, CHART, *GIVEN)
        found = objects(done.stdout)
        selector = found[f"DaemonSet/{name}"]["spec"]["selector"]["matchLabels"]
        assert selector == {"app.kubernetes.io/name": "multinic-agent", "app.kubernetes.io/instance": release}
        assert f"Secret/{name}-db" in found


VERSION = {"major": "1", "minor": "37", "gitVersion": "v1.37.0"}
RESOURCE = {"name": "daemonsets", "singularName": "daemonset", "namespaced": True, "kind": "DaemonSet"}
GROUP = {"groupVersion": "apps/v1", "version": "v1"}


def daemonset(release: str) -> dict[str, Any]:
    """Return the DaemonSet of the earlier agent, as its chart made it."""
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {
            "name": release,
            "namespace": "old",
            "labels": {"app.kubernetes.io/name": "multinic-agent"},
            "annotations": {
                "meta.helm.sh/release-name": release,
                "meta.helm.sh/release-namespace": "old",
            },
        },
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_a_second_release_on_a_cluster_is_refused_and_an_upgrade_is_not(version: str, tmp_path: Path) -> None:
    with api(tmp_path) as cluster:
        group = {"name": "apps", "versions": [GROUP], "preferredVersion": GROUP}
        cluster.answers = {
            "/version": VERSION,
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]},
            "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []},
            "/apis/apps/v1": {
                "kind": "APIResourceList",
                "groupVersion": "apps/v1",
                "resources": [{**RESOURCE, "verbs": ["get", "list"]}],
            },
            "/apis/apps/v1/daemonsets": {
                "apiVersion": "apps/v1",
                "kind": "DaemonSetList",
                "items": [daemonset("nics")],
            },
        }

        def said(release: str, namespace: str, *more: str) -> str:
            options = ("--namespace", namespace, "--dry-run=server", *GIVEN, *more)
            done = helm(version, "template", release, CHART, *options, kubeconfig=cluster.kubeconfig)
            return done.stderr  # helm 4 would ask for schemas next

        refused = said("other", "old")
        assert 'the DaemonSet old/nics serves nodes of this cluster already (release "nics")' in refused
        assert "helm upgrade nics -n old" in refused
        assert "serves nodes of this cluster already" in said("nics", "new")
        assert "serves nodes" not in said("nics", "old")
        assert "serves nodes" not in said("other", "new", "--set", "allowOtherReleases=true")
