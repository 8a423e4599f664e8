"""Binder: the image that repo2docker would build, the environment, and the scripts."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
BINDER = ROOT / "binder"
BIN = Path(sys.executable).parent
CONDA_NAMES = {"torch": "pytorch-cpu", "torch-geometric": "pytorch_geometric"}
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def environment() -> dict[str, Any]:
    with (BINDER / "environment.yml").open(encoding="utf-8") as file:
        read: dict[str, Any] = yaml.safe_load(file)
    return read


def specs() -> list[str]:
    """Every package of the environment, conda's and pip's."""
    listed: list[str] = []
    for one in environment()["dependencies"]:
        listed += [one] if isinstance(one, str) else one["pip"]
    return listed


def project() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        read: dict[str, Any] = tomllib.load(file)["project"]
    return read


def bound(requirement: Requirement) -> Version:
    (lowest,) = (spec.version for spec in requirement.specifier if spec.operator in (">=", "==", "~="))
    return Version(lowest)


def refused(requirement: Requirement) -> set[str]:
    """What is said of versions that are not to be had."""
    return {str(spec) for spec in requirement.specifier if spec.operator in ("!=", "<")}


def test_the_environment_covers_every_dependency() -> None:
    given = {
        requirement.name: requirement
        for requirement in (Requirement(spec) for spec in specs() if re.search(r"[>=~]=", spec))
    }
    extras = project()["optional-dependencies"]  # what the lessons need
    needed = project()["dependencies"] + extras["lab"] + extras["deploy"]
    assert len(needed) > 10
    for requirement in map(Requirement, needed):
        name = CONDA_NAMES.get(requirement.name, requirement.name)
        assert name in given, f"{requirement} is missing"
        assert bound(given[name]) >= bound(requirement), f"{given[name]} allows less than {requirement}"
        assert refused(given[name]) >= refused(requirement), f"{given[name]} allows more than {requirement}"


def test_python_is_one_the_package_runs_on() -> None:
    (python,) = (spec.partition("=")[2] for spec in specs() if spec.startswith("python="))
    assert Version(python) >= Version(project()["requires-python"].removeprefix(">="))


def test_torch_is_the_small_one() -> None:
    names = {re.split(r"[=<>~ ]", spec)[0] for spec in specs()}
    assert "pytorch-cpu" in names
    assert not names & {"torch", "pytorch", "pytorch-gpu", "pytorch-cuda"}
    assert not [spec for spec in specs() if re.search(r"cuda|nvidia|cudnn", spec)]
    pip_part = next(one["pip"] for one in environment()["dependencies"] if isinstance(one, dict))
    assert not [spec for spec in pip_part if "torch" in spec]  # pip's torch is the CUDA build
    for folder in (ROOT, BINDER, ROOT / ".binder"):
        assert not (folder / "requirements.txt").exists()


@pytest.fixture(scope="module")
def dockerfile(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What repo2docker would build from the repository."""
    copy = tmp_path_factory.mktemp("repo2docker") / "repository"
    kept = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "test-results", "dist", "build")
    shutil.copytree(ROOT, copy, ignore=kept)
    done = subprocess.run(
        [BIN / "jupyter-repo2docker", "--no-build", "--debug", "."],
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_image_is_built_from_the_environment(dockerfile: str) -> None:
    assert dockerfile.lstrip().startswith("FROM ")
    assert re.search(
        r"^COPY .*binder/environment\.yml \$\{REPO_DIR\}/binder/environment\.yml", dockerfile, re.M
    )
    assert re.search(r'env update .*--file "binder/environment\.yml"', dockerfile)
    assert "requirements.txt" not in dockerfile


def test_the_image_runs_the_scripts(dockerfile: str) -> None:
    lines = dockerfile.splitlines()
    assert lines.index("RUN ./binder/postBuild") > next(
        i for i, line in enumerate(lines) if "env update" in line
    )
    assert 'ENV R2D_ENTRYPOINT="${REPO_DIR}/binder/start"' in lines


def test_the_start_script_caps_threads_and_runs_its_command() -> None:
    bare = {name: value for name, value in os.environ.items() if name not in THREADS}
    done = subprocess.run([BINDER / "start", "env"], env=bare, capture_output=True, text=True, check=True)
    seen = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    assert {name: seen.get(name) for name in THREADS} == dict.fromkeys(THREADS, "1")
    ended = subprocess.run([BINDER / "start", "sh", "-c", 'exit "$1"', "x", "7"], check=False)
    assert ended.returncode == 7
    quoted = subprocess.run([BINDER / "start", "printf", "%s|", "a b", "c"], capture_output=True, check=True)
    assert quoted.stdout == b"a b|c|"


def test_post_build_installs_the_package_and_warms_the_cache(tmp_path: Path) -> None:
    assert os.access(BINDER / "postBuild", os.X_OK)
    surroundings = {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PIP_PREFIX": str(tmp_path / "prefix"),  # beside the environment that runs the tests, not into it
        "PIP_IGNORE_INSTALLED": "1",
        "NUMBA_CACHE_DIR": str(tmp_path / "numba"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [BINDER / "postBuild"], cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    places = [str(path) for path in (tmp_path / "prefix").rglob("site-packages")]
    (installed,) = importlib.metadata.distributions(name="nemo_lab", path=places)
    assert '"editable": true' in (installed.read_text("direct_url.json") or "")
    warmed = {path.name.split("-")[0] for path in (tmp_path / "numba").rglob("*.nbc")}
    assert warmed >= {
        "kernels.evaluate",
        "kernels.evaluate_neighbours",
        "kernels.fake_quantize",
        "kernels.decode",
    }


def test_the_badge_opens_the_quickstart_in_lab() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    badges = re.findall(r"https://mybinder\.org/v2/gh/[\w.-]+/[\w.-]+/[\w.-]+\?([^\s)\"]+)", readme)
    assert badges
    notebook = "notebooks/00_quickstart.ipynb"
    assert all(badge.replace("%2F", "/") == f"urlpath=lab/tree/{notebook}" for badge in badges)
    assert (ROOT / notebook).is_file()
