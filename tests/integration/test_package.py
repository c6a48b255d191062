"""The Debian package: made from the build, unpacked somewhere else, and what is in it works."""
import os
import pathlib
import shutil
import subprocess

import pytest


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    build = os.environ.get("HOLDFAST_BUILD")
    if not build or not shutil.which("cpack") or not shutil.which("dpkg-shlibdeps"):
        pytest.skip("needs cpack, dpkg-shlibdeps and HOLDFAST_BUILD, the folder of a release build (test.sh sets it)")
    folder = tmp_path_factory.mktemp("package")
    made = subprocess.run(["cpack", "-G", "DEB", "-B", str(folder)], cwd=build, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    (path,) = folder.glob("holdfast_*.deb")
    return path


def field(package, name):
    return subprocess.run(["dpkg-deb", "-f", str(package), name], capture_output=True, text=True, check=True).stdout


def test_it_says_what_it_needs(package):
    assert "libfmt" in field(package, "Depends") and "criu (>= 4.1)" in field(package, "Recommends")


def test_what_is_in_it_works(package, holdfast):
    root = holdfast.directory / "root"
    subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True)
    for path in ("share/man/man1/holdfast-run.1", "share/bash-completion/completions/holdfast", "lib/holdfast/install-criu"):
        assert list((root / "usr").glob(path + "*")), path
    subprocess.run([root / "usr/lib/holdfast/install-criu", "--help"], check=True)  # what it sources is there, too
    holdfast.binary = str(root / "usr/bin/holdfast")
    findings = {finding["subject"]: finding for finding in holdfast.ok("doctor")["findings"]}
    assert str(root) in findings["plugin"]["what"], "the plugin of another installation is used"
    started = holdfast.run_detached("packaged", "sleep", "1000")
    holdfast.checkpoint("packaged")
    assert pathlib.Path(f"/proc/{started['pid']}/exe").resolve().name == "sleep"
