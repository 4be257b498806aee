import time

import torch
from digits_net import digits, trained
from torch.ao.quantization import get_default_qconfig_mapping
from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx
from torch.utils.data import DataLoader

training, test = digits()
model = trained(training)
example_inputs = (test[0][0][None],)
engine = torch.backends.quantized.engine

prepared = prepare_fx(model, get_default_qconfig_mapping(engine), example_inputs)
with torch.no_grad():
    for images, _ in DataLoader(training, batch_size=32):
        prepared(images)
int8 = convert_fx(prepared)


@torch.no_grad()
def accuracy(net):
    right = [net(images).argmax(1) == labels for images, labels in DataLoader(test, batch_size=100)]
    return 100 * torch.cat(right).float().mean().item()


@torch.no_grad()
def milliseconds(net):
    images, _ = next(iter(DataLoader(test, batch_size=64)))
    times = []
    for _ in range(50):
        start = time.perf_counter()
        net(images)
        times.append(1000 * (time.perf_counter() - start))
    return sorted(times)[25]


torch.set_num_threads(1)
print(f"float {accuracy(model):.1f} % in {milliseconds(model):.3f} ms for 64 images")
print(f"int8 {accuracy(int8):.1f} % in {milliseconds(int8):.3f} ms for 64 images")
