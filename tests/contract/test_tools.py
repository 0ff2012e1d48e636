"""What somebody without root can do in a terminal, also behind a company's proxy."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from carrel.adapters import certificates
from carrel.core import names
from carrel.targets.waiting import until
from registry import NAME, SAYS
from sites import RealSite

REGISTRY = Path(__file__).parents[1] / "registry.py"


@dataclass
class Registry:
    """An index of packages inside of ada's workspace, and what is in it."""

    site: RealSite
    address: str

    def sh(self, script: str, status: int = 0) -> str:
        """What a script says in a terminal of ada's."""
        return self.site.inside("ada", "bash", "-lc", f"cd /tmp; {script}", status=status)


def serving(site: RealSite, folder: str, pair: str = "") -> Registry:
    """Start an index; with a certificate it speaks TLS."""
    scheme = "https" if pair else "http"
    script = REGISTRY.read_text()
    site.inside("ada", "sh", "-c", f"mkdir -p {folder} && cat > {folder}/registry.py", given=script)
    start = f"setsid python3 {folder}/registry.py {folder}/served {pair} >{folder}/port 2>{folder}/log &"
    site.inside("ada", "sh", "-c", f"mkdir {folder}/served; {start}")
    until(
        lambda: site.inside("ada", "sh", "-c", f"cat {folder}/port").strip().isdigit(),
        seconds=20,
        what="the index",
    )
    port = site.inside("ada", "cat", f"{folder}/port").strip()
    return Registry(site, f"{scheme}://localhost:{port}")


@pytest.fixture(scope="module")
def registry(site: RealSite) -> Registry:
    """For tests that install: what they leave goes with the home of this site."""
    return serving(site, "/tmp/index")


# -- tools ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tool", ["cc", "gcc", "g++", "make", "sqlite3", "tmux", "uv", "uvx", "pnpm", "pnpx"]
)
def test_the_tools_are_there(site: RealSite, tool: str) -> None:
    assert site.inside("ada", "bash", "-lc", f"command -v {tool}").startswith("/")


@pytest.mark.parametrize(
    ("compiler", "file", "text"),
    [
        ("cc", "hello.c", '#include <stdio.h>\nint main(void) { puts("hello"); }\n'),
        ("c++", "hello.cc", '#include <iostream>\nint main() { std::cout << "hello\\n"; }\n'),
    ],
)
def test_a_program_is_compiled_by_make_and_runs(
    site: RealSite, compiler: str, file: str, text: str
) -> None:
    made = f"hello: {file}\n\t{compiler} -Wall -O2 -o hello {file}\n"
    site.inside(
        "ada", "sh", "-c", f"mkdir -p /tmp/{compiler} && cat > /tmp/{compiler}/{file}", given=text
    )
    site.inside("ada", "sh", "-c", f"cat > /tmp/{compiler}/Makefile", given=made)
    assert site.inside("ada", "sh", "-c", f"cd /tmp/{compiler} && make -s && ./hello") == "hello\n"


def test_python_finds_what_a_module_in_c_needs(site: RealSite) -> None:
    script = "import sysconfig; print(sysconfig.get_path('include') + '/Python.h')"
    header = site.inside("ada", "python3", "-c", script).strip()
    site.inside("ada", "test", "-s", header)


def test_a_database_and_a_terminal_that_stays(site: RealSite) -> None:
    assert site.inside("ada", "sqlite3", ":memory:", "select 6 * 7") == "42\n"
    held = "tmux -L t new -d 'sleep 60' && tmux -L t ls && tmux -L t kill-server"
    assert "1 windows" in site.inside("ada", "sh", "-c", held)


# -- installing ----------------------------------------------------------------------------


def test_pip_installs_for_a_user_without_root_and_python_finds_it(registry: Registry) -> None:
    registry.sh(f"pip install --quiet --index-url {registry.address}/simple {NAME}")
    assert registry.sh(f"python3 -c 'import {NAME}; {NAME}.main()'") == f"{SAYS}\n"
    assert registry.sh(f"{NAME}-py") == f"{SAYS}\n"
    # What the editor starts has no login shell around it.
    assert registry.site.inside("ada", f"{NAME}-py") == f"{SAYS}\n"
    registry.sh(f"pip uninstall --quiet --yes {NAME}")


def test_pip_in_a_virtual_environment_stays_in_it(registry: Registry) -> None:
    registry.sh(
        f"python3 -m venv v && v/bin/pip install --quiet --index-url {registry.address}/simple {NAME}"
    )
    assert registry.sh(f"v/bin/{NAME}-py") == f"{SAYS}\n"
    registry.sh(f"python3 -c 'import {NAME}'", status=1)


def test_uv_installs_into_an_environment_and_a_tool_for_the_user(registry: Registry) -> None:
    index = f"--index-url {registry.address}/simple"
    registry.sh(f"uv venv --quiet u && uv pip install --quiet --python u/bin/python {index} {NAME}")
    assert registry.sh(f"u/bin/{NAME}-py") == f"{SAYS}\n"
    registry.sh(f"uv tool install --quiet {index} {NAME}")
    assert registry.site.inside("ada", f"{NAME}-py") == f"{SAYS}\n"
    registry.sh(f"uv tool uninstall --quiet {NAME}")


@pytest.mark.parametrize(
    ("install", "remove"),
    [("npm install -g", "npm uninstall -g"), ("pnpm add -g", "pnpm remove -g")],
)
def test_a_global_package_of_node_is_the_users_own(
    registry: Registry, install: str, remove: str
) -> None:
    registry.sh(f"{install} --registry {registry.address}/ {NAME}")
    assert registry.sh(f"command -v {NAME}-js").strip() == f"/home/coder/.local/bin/{NAME}-js"
    assert registry.site.inside("ada", f"{NAME}-js") == f"{SAYS}\n"
    registry.sh(f"{remove} {NAME}")


# -- apt -----------------------------------------------------------------------------------


@dataclass
class Debian:
    """A repository of packages of Debian's inside of ada's workspace, and nothing else to fetch from."""

    site: RealSite

    def sh(self, script: str, status: int | None = 0) -> str:
        """What a script says in a terminal of ada's."""
        return self.site.inside("ada", "bash", "-lc", f"cd /tmp; {script} 2>&1", status=status)

    def package(self, name: str, files: dict[str, str], fields: str = "", script: str = "") -> None:
        """Build a package; `script` runs when it is installed."""
        texts = {"/DEBIAN/control": CONTROL.format(name=name, fields=fields), **files}
        if script:
            texts["/DEBIAN/postinst"] = f"#!/bin/sh\nset -e\n{script}\n"
        for path, text in texts.items():
            put = f"mkdir -p $(dirname /tmp/{name}{path}) && cat > /tmp/{name}{path}"
            self.site.inside("ada", "sh", "-c", put, given=text)
        self.sh(
            f"chmod -R a+rX,u+w,g-w {name}; chmod +x {name}/DEBIAN/postinst {name}/usr/bin/*;"
            f"mkdir -p debs; dpkg-deb --build {name} debs/"
        )


PROGRAM = """\
#!/bin/sh
cat /usr/share/carrel-words/word
id -un
pwd
test -s /etc/ssl/certs/ca-certificates.crt && echo trusts
"""

CONTROL = """\
Package: {name}
Version: 1.0
Architecture: all
Maintainer: Nobody <nobody@example.org>
Description: for a test
{fields}"""


@pytest.fixture(scope="module")
def debian(site: RealSite) -> Debian:
    made = Debian(site)
    made.package("carrel-words", {"/usr/share/carrel-words/word": "hello\n"})
    made.package(
        "carrel-says",
        {"/usr/bin/carrel-says": PROGRAM},
        "Depends: carrel-words\n",
        # Looks at what only this Debian has, as scripts of packages do.
        "test -x /usr/bin/carrel-says && stat /usr/bin/carrel-says >/dev/null;"
        "useradd --system carrel-speaker; install -d -o carrel-speaker /var/lib/carrel-says",
    )
    # The machine that runs the tests may reach nobody.
    only = "deb [trusted=yes] file:/tmp/debs ./"
    index = (
        "for f in *.deb; do dpkg-deb -f $f; echo Filename: ./$f; echo Size: $(stat -c %s $f);"
        "echo SHA256: $(sha256sum $f | cut -d' ' -f1); echo; done >Packages"
    )
    made.sh(f"cd debs; {index}")
    made.sh("apt-get --version")
    made.sh(f"cd ~/.local/debian/etc/apt && rm -f sources.list.d/* && echo '{only}' >sources.list")
    return made


def test_apt_installs_for_a_user_without_root(debian: Debian) -> None:
    said = debian.sh("sudo -E DEBIAN_FRONTEND=noninteractive apt-get install -y carrel-says")
    assert "Setting up carrel-says" in said, said
    # Its data, what it needs and the account that it made are where it looks; who runs it is oneself.
    # So is whom the workspace trusts, which is a file of its own in there.
    said = debian.sh("cd ~/project && carrel-says")
    assert said.split() == ["hello", "coder", "/home/coder/project", "trusts"]
    assert debian.site.inside("ada", "carrel-says").split()[0] == "hello"
    assert (
        debian.sh("apt-get remove -y carrel-says >/dev/null; command -v carrel-says", status=1)
        == ""
    )


def test_what_the_workspace_has_is_not_replaced(debian: Debian) -> None:
    assert debian.sh("command -v git python3 apt").split() == [
        "/usr/bin/git",
        "/usr/bin/python3",
        "/opt/carrel/bin/apt",
    ]


def test_a_first_apt_that_was_ended_is_made_good_by_the_next(debian: Debian) -> None:
    other, new = "HOME=/tmp/elsewhere", "elsewhere/.local/debian.new/usr/bin"
    debian.sh(
        f"mkdir elsewhere; {other} setsid apt --version & until test -e {new}; do sleep 0.01; done;"
        "kill -KILL -- -$!; wait; test ! -e elsewhere/.local/debian"
    )
    assert "apt" in debian.sh(f"{other} apt --version")
    debian.sh("test ! -e elsewhere/.local/debian.new && rm -rf elsewhere")


def test_sudo_says_what_there_is_instead(debian: Debian) -> None:
    assert "no administrator" in debian.sh("sudo systemctl restart ssh", status=1)


# -- git -----------------------------------------------------------------------------------


def test_a_newcomer_commits_and_is_somebody(site: RealSite) -> None:
    commit = (
        "rm -rf /tmp/r; git init -q /tmp/r && cd /tmp/r && git commit -q --allow-empty -m first"
    )
    site.inside("ada", "sh", "-c", commit)
    who = site.inside("ada", "git", "-C", "/tmp/r", "log", "-1", "--format=%an <%ae>")
    assert who == "ada <ada@code.localhost>\n"
    own = "HOME=/tmp/r git config --global user.name Countess && HOME=/tmp/r"
    site.inside("ada", "sh", "-c", f"cd /tmp/r && {own} git commit -q --allow-empty -m second")
    who = site.inside("ada", "git", "-C", "/tmp/r", "log", "-1", "--format=%an <%ae>")
    assert who == "Countess <ada@code.localhost>\n"


# -- behind a company's proxy --------------------------------------------------------------


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A site that trusts a company, whose proxy has opened the index's TLS."""
    folder = tmp_path_factory.mktemp("company")
    authority = certificates.authority("localhost")
    signed = certificates.site(("localhost",), authority)
    (folder / "company.pem").write_text(authority.certificate)
    real = RealSite(folder, ["ada"], '[network]\nca_file = "company.pem"')
    try:
        real.carrel("up")
        pair = signed.certificate + signed.key
        real.inside("ada", "sh", "-c", "cat > /tmp/pair.pem", given=pair)
        yield serving(real, "/tmp/index", "/tmp/pair.pem")
    finally:
        real.clean()


PROGRAMS = {
    "curl": "curl -sSf {url}/ready",
    "wget": "wget -qO- {url}/ready",
    "Python": "python3 -c 'from urllib.request import urlopen; print(urlopen(\"{url}/ready\").read())'",
    "Node": "node -e 'fetch(\"{url}/ready\").then(r => r.text()).then(console.log)'",
    "git": "rm -rf c && git clone -q {url}/repository/.git c && git -C c log --format=%s",
    "pip": "pip install -q --index-url {url}/simple {name} && {name}-py",
    "pip in a virtual environment": (
        "python3 -m venv v && v/bin/pip install -q --index-url {url}/simple {name} && v/bin/{name}-py"
    ),
    "uv": "uv venv -q u && uv pip install -q --python u/bin/python --index-url {url}/simple {name} "
    "&& u/bin/{name}-py",
    "npm": "npm install -g --registry {url}/ {name} >/dev/null && {name}-js",
    "pnpm": "mkdir -p p && cd p && pnpm add --registry {url}/ {name} >/dev/null && pnpm exec {name}-js",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_behind_a_proxy_that_opens_tls_everything_is_believed(
    company: Registry, program: str
) -> None:
    script = PROGRAMS[program].replace("{url}", company.address).replace("{name}", NAME)
    assert SAYS in company.sh(script)


def test_the_agents_runtime_believes_it_too(company: Registry) -> None:
    config = (
        '{"provider":{"desk":{"npm":"@ai-sdk/openai-compatible","models":{"m":{}},'
        f'"options":{{"baseURL":"{company.address}/v1","apiKey":"x"}}}}}},"model":"desk/m"}}'
    )
    asked = f"OPENCODE_CONFIG_CONTENT='{config}' timeout 60 opencode run hello 2>&1"
    said = company.site.inside("ada", "sh", "-c", asked, status=None)
    assert "certificate" not in said.lower(), said


def test_nobody_in_a_workspace_changes_whom_it_trusts(company: Registry) -> None:
    company.sh(f"echo x >> {names.CA_BUNDLE}", status=1)
    company.sh(f"rm -f {names.CA_BUNDLE}", status=1)


def test_another_authority_needs_no_new_image_and_one_apply(company: Registry) -> None:
    site = company.site
    image = site.status()["image"]
    (site.folder / "company.pem").write_text(certificates.authority("other.example").certificate)
    said = site.carrel("plan").stdout
    assert "~ file" in said
    assert "trust/ca-certificates.crt" in said
    assert "workspace-ada" in said
    site.carrel("up")
    assert site.status()["image"] == image
    assert site.carrel("plan").stdout.strip() == "Nothing to do."
