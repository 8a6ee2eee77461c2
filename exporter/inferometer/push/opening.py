# SPDX-License-Identifier: Apache-2.0
"""Which sender the settings ask for. What a sender needs is imported only where it is wanted."""

from inferometer.push.sender import HttpSender, Sender
from inferometer.push.settings import Settings


def open_sender(settings: Settings) -> Sender:
    """Make the sender. Raises Trouble that names the file where a certificate cannot be read."""
    # Each is imported only where it is wanted: grpcio costs 20 MiB, the SDK 12 and more.
    match settings.sender, settings.protocol:
        case "sdk", "grpc":
            from inferometer.push.sender_sdk_grpc import SdkGrpcSender  # noqa: PLC0415  # as above

            return SdkGrpcSender(settings)
        case "sdk", _:
            from inferometer.push.sender_sdk import SdkHttpSender  # noqa: PLC0415  # as above

            return SdkHttpSender(settings)
        case _, "grpc":
            from inferometer.push.sender_grpc import GrpcSender  # noqa: PLC0415  # as above

            return GrpcSender(settings)
        case _:
            return HttpSender(settings)
