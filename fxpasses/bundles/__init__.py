"""Bundles: a zip that runs a model on a device without this toolkit, made of the folder of a quantization."""

from .archive import read_about, unpack_bundle
from .write_bundle import BundleSettings, MadeBundle, write_bundle

__all__ = ["BundleSettings", "MadeBundle", "read_about", "unpack_bundle", "write_bundle"]
