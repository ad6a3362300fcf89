"""The ways to sign in, by the word in `sign_in: kind`."""

from __future__ import annotations

from typing import Annotated

import pydantic

from privatekube.kubeflow.sign_in.dex import Dex
from privatekube.kubeflow.sign_in.iap import IapServiceAccount
from privatekube.kubeflow.sign_in.iap_person import Iap
from privatekube.kubeflow.sign_in.tokens import InCluster, NoSignIn, Token

SignIn = Annotated[Iap | IapServiceAccount | Token | Dex | InCluster | NoSignIn, pydantic.Field(discriminator="kind")]
