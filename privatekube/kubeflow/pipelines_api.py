"""The REST API of Kubeflow Pipelines (v2beta1): a call is JSON in and JSON out, and everything else is an error.

A login page, a redirect or an empty answer is not success. Bodies are built from the models of `kfp_server_api`, which
KFP generates from its published schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import kfp_server_api
import requests

from privatekube import errors
from privatekube.kubeflow import web as http
from privatekube.kubeflow.cluster_file import ClusterFile
from privatekube.kubeflow.sign_in import id_token
from privatekube.kubeflow.sign_in.credentials import Credentials
from privatekube.kubeflow.web import Request, Web

Json = dict[str, Any]
V2 = "/apis/v2beta1"
_EQUALS = 1
_PAGE = 100
_MOST_LOG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Health:
    """What an installation says of itself.

    Args:
        multi_user: whether runs belong to namespaces.
        version: of the installation; None if it does not say.
    """

    multi_user: bool
    version: str | None


@dataclass(frozen=True, slots=True)
class PipelinesApi:
    """Calls of the API, signed.

    Args:
        url: of the API.
        web: the HTTP session.
        credentials: sign each request.
    """

    url: str
    web: Web
    credentials: Credentials

    @classmethod
    def of(cls, cluster: ClusterFile) -> PipelinesApi:
        """Return the API that a client_secrets.yaml names; nothing is sent yet."""
        ca_cert = None if cluster.ca_cert is None else cluster.folder / cluster.ca_cert.expanduser()
        web = Web(ca_cert=ca_cert, verify=cluster.verify_ssl)
        credentials = cluster.sign_in.credentials(web, host=cluster.url, folder=cluster.folder)
        return cls(cluster.url, web, credentials)

    def health(self) -> Health:
        """Return what the installation says of itself."""
        answer = self.call("GET", f"{V2}/healthz")
        if "multi_user" not in answer:
            raise errors.InvalidInput(
                f"host: {http.place(self.url)} is not the API of Kubeflow Pipelines 2; check host"
            )
        version = answer.get("tag_name")
        return Health(bool(answer["multi_user"]), str(version) if version else None)

    def ensure_experiment(self, name: str, namespace: str | None) -> str:
        """Return the id of an experiment; it is created if it does not exist."""
        predicate = {"operation": _EQUALS, "key": "display_name", "stringValue": name}
        params = {"filter": json.dumps({"predicates": [predicate]}), **_in(namespace)}
        matches = self.call("GET", f"{V2}/experiments", params=params).get("experiments") or []
        if matches:
            return str(matches[0]["experiment_id"])
        experiment = kfp_server_api.V2beta1Experiment(display_name=name, namespace=namespace)
        return str(self.call("POST", f"{V2}/experiments", body=_serialized(experiment)).get("experiment_id", ""))

    def create_run(self, run: kfp_server_api.V2beta1Run) -> str:
        """Create a run and return its id.

        Raises:
            InvalidInput: the answer has no id.
        """
        answer = self.call("POST", f"{V2}/runs", body=_serialized(run))
        run_id = answer.get("run_id")
        if not isinstance(run_id, str) or not run_id:
            raise errors.InvalidInput(
                f"host: {http.place(self.url)} answered without the id of a run; look in its list of runs whether one "
                "began, and check host"
            )
        return run_id

    def run(self, run_id: str) -> Json:
        """Return a run."""
        return self.call("GET", f"{V2}/runs/{quote(run_id, safe='')}")

    def runs(self, *, namespace: str | None, experiment: str | None = None) -> Iterator[Json]:
        """Yield the runs, newest first."""
        params: Json = {"page_size": _PAGE, "sort_by": "created_at desc", **_in(namespace)}
        if experiment is not None:
            params["experiment_id"] = experiment
        while True:
            page = self.call("GET", f"{V2}/runs", params=params)
            yield from page.get("runs") or []
            if not page.get("next_page_token"):
                return
            params["page_token"] = page["next_page_token"]

    def retry(self, run_id: str) -> None:
        """Have the failed steps of a run run again."""
        self.call("POST", f"{V2}/runs/{quote(run_id, safe='')}:retry", may_be_empty=True)

    def terminate(self, run_id: str) -> None:
        """Have a run end."""
        self.call("POST", f"{V2}/runs/{quote(run_id, safe='')}:terminate", may_be_empty=True)

    def pod_log(self, run_id: str, node_id: str) -> str:
        """Return the end of the log of a step's pod, or of what the installation has kept of it."""
        path = f"/apis/v1alpha1/runs/{quote(run_id, safe='')}/nodes/{quote(node_id, safe='')}/log"
        response = self._sent("GET", path, None, {"follow": "false"})
        self._require_success(response)
        return response.content[-_MOST_LOG_BYTES:].decode(errors="replace")

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Mapping[str, Any] | None = None,
        may_be_empty: bool = False,
    ) -> Json:
        """Call the API and return its answer.

        Raises:
            InvalidInput: it refuses the request or the credentials, or is not this API.
            NotFound: the object does not exist.
            Temporary: it cannot be reached, or cannot answer now.
        """
        response = self._sent(method, path, body, params)
        self._require_success(response)
        document = http.document(response)
        if document is not None:
            return document
        if may_be_empty and not response.content.strip():
            return {}
        where, what = http.place(self.url), "nothing" if not response.content.strip() else "what is not JSON"
        raise errors.InvalidInput(f"host: {where} answered {response.status_code} with {what}; check host")

    def _sent(self, method: str, path: str, body: Any, params: Mapping[str, Any] | None) -> requests.Response:
        """Send a request; once more if the credentials were refused and others can be had."""
        request = Request(method, self.url + path, params=params, json=body)
        response = self._signed(request)
        if _is_refusal(response) and self.credentials.renew():
            response = self._signed(request)
        return response

    def _signed(self, request: Request) -> requests.Response:
        headers = {"Accept": "application/json", **self.credentials.headers()}
        return self.web.send(Request(request.method, request.url, headers, request.params, request.json))

    def _require_success(self, response: requests.Response) -> None:
        """Raise the error that a response stands for, unless it is a success of the API."""
        where, status = http.place(self.url), response.status_code
        remedy = self.credentials.remedy
        if _leads_to_login(response):
            target = urlsplit(response.headers.get("Location", "")).hostname
            page = f"a redirect to {target}" if target else "a redirect" if 300 <= status < 400 else "a login page"
            raise errors.InvalidInput(f"sign_in: {where} answered with {page}: not signed in; {self._reason(response)}")
        if status == requests.codes.unauthorized:
            raise errors.InvalidInput(f"sign_in: {where} answered 401 Unauthorized; {self._reason(response)}")
        if status == requests.codes.forbidden and _is_page(response):
            raise errors.InvalidInput(
                f"sign_in: {where} answered 403 with a page: not signed in, or not allowed; {self._reason(response)}"
            )
        if status == requests.codes.forbidden:
            message = self._message(response)
            raise errors.InvalidInput(
                f"host: {where} answered 403 Forbidden{message}; check namespace and your role there, or {remedy}"
            )
        if status == requests.codes.not_found:
            if http.document(response) is None:
                raise errors.InvalidInput(f"host: {where} has no API of Kubeflow Pipelines 2 at this URL; check host")
            raise errors.NotFound(f"host: {where} answered 404{self._message(response)}; check namespace and id")
        if status >= 500 or status == requests.codes.too_many_requests:
            raise errors.Temporary(f"host: {where} answered {status}{self._message(response)}; try again")
        if not response.ok:
            raise errors.InvalidInput(f"host: {where} answered {status}{self._message(response)}; correct the request")

    def _reason(self, response: requests.Response) -> str:
        """Return why the credentials are refused, as far as the token and the clocks tell, and what to do."""
        now = http.date(response)
        why = id_token.fault(self.credentials.token(), now) or id_token.clock_skew(now)
        return f"{why}; {self.credentials.remedy}" if why else self.credentials.remedy

    def _message(self, response: requests.Response) -> str:
        """Return the server's own message in brackets, on one line, without the token."""
        document = http.document(response) or {}
        error = document.get("message") or document.get("error_message") or document.get("error") or ""
        text = " ".join(str(error).split())
        token = self.credentials.token()
        if token:
            text = text.replace(token, "(the token)")
        return f" ({text[:300]})" if text else ""


def _is_refusal(response: requests.Response) -> bool:
    is_forbidden_page = response.status_code == requests.codes.forbidden and _is_page(response)
    return response.status_code == requests.codes.unauthorized or is_forbidden_page or _leads_to_login(response)


def _leads_to_login(response: requests.Response) -> bool:
    """Whether a response is a redirect or a page for people: a proxy in front of the API asks for a login."""
    return response.is_redirect or 300 <= response.status_code < 400 or (response.ok and _is_page(response))


def _is_page(response: requests.Response) -> bool:
    return "html" in response.headers.get("Content-Type", "").lower()


def _in(namespace: str | None) -> Json:
    return {} if namespace is None else {"namespace": namespace}


def _serialized(model: Any) -> Json:
    """Return a model of the API as JSON."""
    document: Json = kfp_server_api.ApiClient().sanitize_for_serialization(model)
    return document
