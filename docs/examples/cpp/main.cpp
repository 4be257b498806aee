// Runs an int8 ONNX file of fxpasses on one test vector, and says whether the outputs are the expected ones, bit for bit.
//
//     run_int8 model.int8.onnx input.f32 expected.f32
//
// Both vectors are float32 in row-major order, little-endian, as numpy's tofile writes them.

#include <onnxruntime_cxx_api.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

static std::vector<float> floats_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::vector<float> values(static_cast<size_t>(file.tellg()) / sizeof(float));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(float)));
  return values;
}

// The file says itself whether onnxruntime must be told to sum exactly on x86 CPUs without VNNI; elsewhere it is ignored.
static Ort::SessionOptions options_for(Ort::Env& env, const char* path) {
  const char* key = "session.x64quantprecision";
  Ort::SessionOptions plain, options;
  plain.SetGraphOptimizationLevel(ORT_DISABLE_ALL);  // this session is only asked what the file says
  Ort::Session probe(env, path, plain);
  Ort::AllocatorWithDefaultOptions allocator;
  auto said = probe.GetModelMetadata().LookupCustomMetadataMapAllocated("fxpasses.session_options", allocator);
  if (said && std::strstr(said.get(), key)) options.AddConfigEntry(key, "1");
  options.SetIntraOpNumThreads(1);
  return options;
}

int main(int count, char** given) try {
  if (count < 4) throw std::runtime_error("usage: run_int8 model.int8.onnx input.f32 expected.f32");
  Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "run_int8");
  Ort::SessionOptions options = options_for(env, given[1]);
  Ort::Session session(env, given[1], options);

  std::vector<float> input = floats_of(given[2]), expected = floats_of(given[3]);
  auto type = session.GetInputTypeInfo(0);
  std::vector<int64_t> shape = type.GetTensorTypeAndShapeInfo().GetShape();
  const int64_t row = std::accumulate(shape.begin() + 1, shape.end(), int64_t{1}, std::multiplies<>());
  if (shape[0] < 0) shape[0] = static_cast<int64_t>(input.size()) / row;  // the batch is free
  if (row <= 0 || shape[0] * row != static_cast<int64_t>(input.size())) throw std::runtime_error("input of odd size");

  auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  Ort::Value x = Ort::Value::CreateTensor<float>(memory, input.data(), input.size(), shape.data(), shape.size());
  Ort::AllocatorWithDefaultOptions allocator;
  auto in = session.GetInputNameAllocated(0, allocator), out = session.GetOutputNameAllocated(0, allocator);
  const char *in_name = in.get(), *out_name = out.get();
  auto outputs = session.Run(Ort::RunOptions{nullptr}, &in_name, &x, 1, &out_name, 1);

  const size_t values = outputs[0].GetTensorTypeAndShapeInfo().GetElementCount();
  const float* y = outputs[0].GetTensorData<float>();
  const bool same = values == expected.size() && std::memcmp(y, expected.data(), values * sizeof(float)) == 0;
  std::printf("%s: %zu values\n", same ? "the expected integers" : "OTHER integers than expected", values);
  return same ? 0 : 1;
} catch (const std::exception& error) {  // Ort::Exception is one, too
  std::fprintf(stderr, "error: %s\n", error.what());
  return 2;
}
