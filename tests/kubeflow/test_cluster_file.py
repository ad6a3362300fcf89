"""client_secrets.yaml: typed, without unknown or repeated keys, and private where it holds a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from privatekube import errors
from privatekube.kubeflow import cluster_file
from tests.e2e.conftest import ROOT


def written(folder: Path, text: str, *, mode: int = 0o600) -> Path:
    path = folder / "client_secrets.yaml"
    path.touch(mode=mode)
    path.write_text("host: https://h/pipeline\n" + text)
    path.chmod(mode)
    return path


def refusal(folder: Path, text: str, *, mode: int = 0o600) -> str:
    with pytest.raises(errors.InvalidInput) as refused:
        cluster_file.load(written(folder, text, mode=mode))
    message = str(refused.value)
    assert "\n" not in message
    assert "sesame" not in message
    return message


def test_the_example_is_valid_as_it_is_and_holds_no_secret() -> None:
    content = cluster_file.load(ROOT / "client_secrets.example.yaml")
    assert content.host.startswith("https://")
    assert not content.sign_in.holds_secret


@pytest.mark.parametrize(
    "block",
    [
        "{kind: token, file: token}",
        "{kind: token, command: [gcloud, auth, print-access-token]}",
        "{kind: iap, client_id: c, desktop_client_id: d, desktop_client_secret: env:S}",
        "{kind: iap-service-account, client_id: c}",
        "{kind: iap-service-account, client_id: c, key: k.json}",
        "{kind: dex, username: u, password: file:p}",
        "{kind: in-cluster}",
        "{kind: none}",
    ],
)
def test_each_way_to_sign_in_is_read(tmp_path: Path, block: str) -> None:
    content = cluster_file.load(written(tmp_path, f"sign_in: {block}\n", mode=0o644))
    assert content.sign_in.kind in block


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nmespace: x\n", "nmespace: unknown key; did you mean namespace?"),
        ("namespace: a\nnamespace: b\n", "namespace is given twice; give it one value"),
        ("sign_in: {kind: token, value: sesame, file: t}\n", "needs exactly one of value, file and command"),
        ("sign_in: {kind: token}\n", "needs exactly one of value, file and command"),
        ("sign_in: {kind: sesame}\n", "is not a known kind; use iap, iap-service-account, token, dex, in-cluster"),
        ("sign_in: {kind: dex, username: u, password: [sesame]}\n", "sign_in: dex: password: must be one line of text"),
        ("sign_in: {kind: dex, username: u, pasword: sesame}\n", "sign_in: dex: password: missing; give it a value"),
        ("sign_in: {kind: none, value: sesame}\n", "sign_in: none: value: unknown; remove it or correct its name"),
        ("sign_in: sesame\n", "sign_in: "),
        ("namespace: Not_A_Name\n", "namespace: must be at most 63 lower-case letters, digits and '-'; change it"),
        ("prefix: /tmp/x\n", "prefix: must be a gs:// or s3:// prefix; change it"),
        ("verify_ssl: 'no'\n", "verify_ssl: must be true or false; change it"),
        ("ca_cert: nothing.pem\n", "ca_cert: is not a file; name the PEM file"),
        ("existing_token: sesame\n", "existing_token: is of an earlier version; write sign_in: {kind: token"),
        ("client_id: sesame\n", "client_id: is of an earlier version; write sign_in: {kind: iap, client_id"),
        ("other_client_secret: sesame\n", "write sign_in: {kind: iap, desktop_client_secret: file:PATH}"),
    ],
)
def test_what_is_wrong_is_one_line_that_quotes_no_value(tmp_path: Path, text: str, words: str) -> None:
    assert words in refusal(tmp_path, text)


def test_a_file_that_is_missing_names_the_example(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput, match=r"does not exist; copy client_secrets\.example\.yaml"):
        cluster_file.load(tmp_path / "client_secrets.yaml")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_file_with_a_secret_that_others_can_read_is_refused_with_the_command_that_closes_it(
    tmp_path: Path, mode: int
) -> None:
    text = "sign_in: {kind: dex, username: u, password: sesame}\n"
    assert f"run chmod 600 {tmp_path / 'client_secrets.yaml'}" in refusal(tmp_path, text, mode=mode)
    assert cluster_file.load(written(tmp_path, text)).sign_in.kind == "dex"


def test_credentials_are_not_sent_in_clear_over_a_network(tmp_path: Path) -> None:
    path = written(tmp_path, "sign_in: {kind: token, value: env:T}\n")
    for host, is_allowed in {
        "http://kubeflow.example.org": False,
        "http://10.0.0.7:8080": False,
        "http://ml-pipeline.kubeflow.svc:8888": True,
        "http://ml-pipeline:8888": True,
        "http://127.0.0.1:3000": True,
        "http://localhost:3000": True,
    }.items():
        path.write_text(f"host: {host}\nsign_in: {{kind: token, value: env:T}}\n")
        if is_allowed:
            assert cluster_file.load(path).url == host
        else:
            with pytest.raises(errors.InvalidInput, match=r"http:// would send the credentials in clear"):
                cluster_file.load(path)


def test_nothing_prints_a_secret(tmp_path: Path) -> None:
    content = cluster_file.load(written(tmp_path, "sign_in: {kind: dex, username: u, password: sesame}\n"))
    assert "sesame" not in f"{content!r} {content} {content.model_dump()} {content.model_dump_json()}"
