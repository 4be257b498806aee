"""Give a model back what its forward replaced while it was traced.

A forward that assigns to ``self``, a running mean or a cache, gets proxies there, with which the model could not run
again. Tensors that it changes in place are not restored: they are changed by every other call, too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import fx, nn


@contextlib.contextmanager
def attributes_kept(model: nn.Module) -> Iterator[None]:
    """Restore buffers and plain attributes that are proxies at the end."""
    buffers = [(m, dict(m.named_buffers(recurse=False, remove_duplicate=False))) for m in model.modules()]
    attributes = [(m, dict(vars(m))) for m in model.modules()]
    try:
        yield
    finally:
        for module, tensors in buffers:
            for name, tensor in tensors.items():
                if isinstance(getattr(module, name), fx.Proxy):
                    setattr(module, name, tensor)
        for module, before in attributes:
            for name in [name for name, value in vars(module).items() if isinstance(value, fx.Proxy)]:
                if name in before:
                    setattr(module, name, before[name])
                else:
                    delattr(module, name)
