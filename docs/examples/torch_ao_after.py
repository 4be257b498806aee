import time

import torch
from digits_net import digits, trained
from torch.utils.data import DataLoader

import fxpasses as fx

training, test = digits()
model = trained(training)
example_inputs = (test[0][0][None],)

graph = fx.quantize(model, example_inputs, DataLoader(training, batch_size=32))
fx.export.to_onnx(graph, "digits.int8.onnx")
int8 = fx.export.to_torch(graph)


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
print(fx.export.parity(graph, DataLoader(test, batch_size=100), onnx_path="digits.int8.onnx"))
