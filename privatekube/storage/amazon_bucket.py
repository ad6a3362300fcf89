"""Buckets of S3 and of what speaks its protocol, through Amazon's own client.

Address, region and credentials are those of Amazon's other tools: environment variables, profiles, and the account of
a pod or machine. `AWS_REQUEST_PAYER=requester` pays for what is read from a bucket whose requester pays.
"""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any, BinaryIO

import boto3.session
from botocore import config, exceptions

PAYER = "AWS_REQUEST_PAYER"
PART_BYTES = 16 << 20
"""How much of a file is in memory, and is sent again after an interruption; S3 takes 10,000 parts of a file."""
_ONE_REQUEST_BYTES = 64 << 20
"""Up to this size a file is sent as one request."""
_CLIENT = config.Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 1})
_IF_ABSENT = {"IfNoneMatch": "*"}


class AmazonBucket:
    """A bucket on S3; it raises the errors of Amazon's client.

    Args:
        name: of the bucket.
    """

    def __init__(self, name: str) -> None:
        self._client = boto3.session.Session().client("s3", config=_CLIENT)
        self._bucket: dict[str, Any] = {"Bucket": name}
        if os.environ.get(PAYER):
            self._bucket["RequestPayer"] = "requester"

    def read(self, key: str) -> bytes:
        """Return the content of a file."""
        return bytes(self._client.get_object(Key=key, **self._bucket)["Body"].read())

    def fetch(self, key: str, file: BinaryIO) -> None:
        """Write the content of a file to a local one, a part at a time."""
        for part in self._client.get_object(Key=key, **self._bucket)["Body"].iter_chunks(PART_BYTES):
            file.write(part)

    def create(self, key: str, content: bytes | Path) -> None:
        """Write a file that is not there yet; the store decides between two writers."""
        if isinstance(content, bytes) or content.stat().st_size <= _ONE_REQUEST_BYTES:
            self._put(key, content, **_IF_ABSENT)
        else:
            self._put_parts(key, content)

    def _put(self, key: str, content: bytes | Path, **condition: str) -> None:
        with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as body:
            self._client.put_object(Key=key, Body=body, **self._bucket, **condition)

    def _put_parts(self, key: str, path: Path) -> None:
        """Send a file part by part; the parts that an interrupted upload of it has sent are not sent again."""
        upload, sent = self._interrupted_upload(key)
        parts = []
        with path.open("rb") as file:
            for number, part in enumerate(iter(lambda: file.read(PART_BYTES), b""), start=1):
                tag = sent.get(number)
                if tag != _tag(part):
                    answer = self._client.upload_part(PartNumber=number, Body=part, **upload)
                    tag = answer["ETag"]
                parts.append({"PartNumber": number, "ETag": tag})
        self._client.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload, **_IF_ABSENT)

    def _interrupted_upload(self, key: str) -> tuple[dict[str, Any], dict[int, str]]:
        """Return an upload of a file, the last that was begun or else a new one, and the tags of the parts it has."""
        place = {"Key": key, **self._bucket}
        begun = self._client.list_multipart_uploads(Prefix=key, **self._bucket).get("Uploads", ())
        ids = [upload["UploadId"] for upload in begun if upload["Key"] == key]
        if not ids:
            return {"UploadId": self._client.create_multipart_upload(**place)["UploadId"], **place}, {}
        upload = {"UploadId": ids[-1], **place}
        pages = self._client.get_paginator("list_parts").paginate(**upload)
        return upload, {part["PartNumber"]: part["ETag"] for page in pages for part in page.get("Parts", ())}

    def replace(self, key: str, content: bytes) -> None:
        """Write a file, in place of one that is there."""
        self._put(key, content)

    def size_of(self, key: str) -> int | None:
        """Return the size of a file in bytes; None if it is not there."""
        try:
            return int(self._client.head_object(Key=key, **self._bucket)["ContentLength"])
        except exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise

    def list_folder(self, prefix: str) -> tuple[list[str], bool]:
        """Return the keys directly below a prefix, which ends in a slash, and whether anything is below it."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Prefix=prefix, Delimiter="/", **self._bucket)
        keys: list[str] = []
        n_folders = 0
        for page in pages:
            keys += [entry["Key"] for entry in page.get("Contents", ())]
            n_folders += len(page.get("CommonPrefixes", ()))
        return keys, bool(keys or n_folders)

    def remove(self, key: str) -> None:
        """Remove a file; one that is not there is no error."""
        self._client.delete_object(Key=key, **self._bucket)


def _tag(part: bytes) -> str:
    """Return the tag that S3 gives to a part; another one, of a bucket with a key of its own, is sent again."""
    return f'"{hashlib.md5(part, usedforsecurity=False).hexdigest()}"'
