"""The buckets of a node: the data, the artifacts of runs, and their results, on a server in the node's network."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import boto3.session
import requests

from tests import waiting
from tests.node import images, object_server, pods
from tests.node.node import Node
from tests.node.object_server import ACCESS_KEY, AMAZON_PORT, GOOGLE_PORT, SECRET_KEY

DATA, ARTIFACTS, RESULTS = BUCKETS = ("data", "artifacts", "results")
SECRET = "s3-keys"  # noqa: S105 - its name
_REGION = "us-east-1"
_START_SECONDS, _REQUEST_SECONDS = 60, 30


@dataclass(frozen=True)
class ObjectStore:
    """The buckets of one scheme.

    Args:
        node: the node that reaches them.
        scheme: `gs` or `s3`.
    """

    node: Node
    scheme: str

    @property
    def address(self) -> str:
        """The URL of the server."""
        port = GOOGLE_PORT if self.scheme == "gs" else AMAZON_PORT
        return f"http://{self.node.address}:{port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a person's commands reach the buckets."""
        if self.scheme == "gs":
            return {"STORAGE_EMULATOR_HOST": self.address}
        keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        return {"AWS_ENDPOINT_URL": self.address, "AWS_REGION": _REGION, **keys}

    @property
    def settings(self) -> tuple[str, ...]:
        """What a user writes into the section `cluster` of arguments.yaml: the address, the Secret with the keys."""
        if self.scheme == "gs":
            return (f"cluster.environment={{STORAGE_EMULATOR_HOST: '{self.address}'}}",)
        return (
            f"cluster.environment={{AWS_ENDPOINT_URL: '{self.address}', AWS_REGION: {_REGION}}}",
            f"cluster.secret_environment={{{SECRET}: "
            "{access-key: AWS_ACCESS_KEY_ID, secret-key: AWS_SECRET_ACCESS_KEY}}",
        )

    def create_secret(self) -> None:
        """Create the Secret that the section names, as docs/kubeflow.md says."""
        literals = (f"--from-literal=access-key={ACCESS_KEY}", f"--from-literal=secret-key={SECRET_KEY}")
        self.node.kubectl("create", "secret", "generic", SECRET, "-n", pods.NAMESPACE, *literals)

    def uri(self, bucket: str, *path: str) -> str:
        """Return the URI of a bucket, or of something in it."""
        return "/".join((f"{self.scheme}://{bucket}", *path))

    def create_buckets(self) -> None:
        """Create the buckets."""
        with self.node.enter_network():
            for bucket in BUCKETS:
                if self.scheme == "gs":
                    body = {"name": bucket}
                    answer = requests.post(f"{self.address}/storage/v1/b", json=body, timeout=_REQUEST_SECONDS)
                    answer.raise_for_status()
                else:
                    self._amazon().create_bucket(Bucket=bucket)

    def objects(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        """Return every object of a bucket, by its key."""
        with self.node.enter_network():
            return {key: self._read(bucket, key) for key in self._keys(bucket) if key.startswith(prefix)}

    def url(self, bucket: str, key: str, *, writes: bool = False) -> str:
        """Return a URL with which a program without keys reads an object, or writes it."""
        if self.scheme == "gs":
            return f"{self.address}/{bucket}/{quote(key)}"
        action = "put_object" if writes else "get_object"
        where = {"Bucket": bucket, "Key": key}
        return str(self._amazon().generate_presigned_url(action, Params=where, ExpiresIn=3600))

    def _keys(self, bucket: str) -> list[str]:
        if self.scheme == "gs":
            answer = requests.get(f"{self.address}/storage/v1/b/{bucket}/o", timeout=_REQUEST_SECONDS)
            return [item["name"] for item in answer.json().get("items", [])]
        listed = self._amazon().list_objects_v2(Bucket=bucket)
        return [item["Key"] for item in listed.get("Contents", [])]

    def _read(self, bucket: str, key: str) -> bytes:
        answer = requests.get(self.url(bucket, key), timeout=_REQUEST_SECONDS)
        answer.raise_for_status()
        return answer.content

    def _amazon(self) -> Any:
        session = boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name=_REGION)
        return session.client("s3", endpoint_url=self.address)


@contextlib.contextmanager
def served(node: Node) -> Iterator[Mapping[str, ObjectStore]]:
    """Serve the buckets in the network of a node, and yield them by scheme."""
    command = [*node.enter, sys.executable, "-m", object_server.__name__, node.address]
    process = subprocess.Popen(command, cwd=images.ROOT)
    stores = {scheme: ObjectStore(node, scheme) for scheme in ("gs", "s3")}
    try:
        waiting.until(lambda: all(map(_answers, stores.values())), process.poll, seconds=_START_SECONDS)
        for store in stores.values():
            store.create_buckets()
        yield stores
    finally:
        process.terminate()
        process.wait(timeout=_REQUEST_SECONDS)


def _answers(store: ObjectStore) -> bool:
    try:
        with store.node.enter_network():
            requests.get(store.address, timeout=_REQUEST_SECONDS)
    except requests.ConnectionError:
        return False
    return True
