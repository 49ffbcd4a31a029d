// A neural network in C++17 with the standard library only: the product of matrices in four
// stages, dense layers, ReLU, softmax with cross-entropy, training by SGD on IDX files, inference.
// Lesson 5 reads this file from top to bottom.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using Index = std::ptrdiff_t;
[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what); }

// ---- 1. Matrices -------------------------------------------------------------------------------
struct Matrix {  // one row after the other
  Index rows, cols;
  std::vector<float> values;
  explicit Matrix(Index r = 0, Index c = 0) : rows(r), cols(c), values(r * c) {}
  void clear(Index r, Index c) { rows = r, cols = c, values.assign(r * c, 0.0f); }
  float* row(Index i) { return values.data() + i * cols; }
  const float* row(Index i) const { return values.data() + i * cols; }
};
struct View {  // a matrix read in steps: (i, k) lies at start[i * row_step + k * col_step]
  const float* start;
  Index rows, cols, row_step, col_step;
};
View view(const Matrix& m) { return {m.values.data(), m.rows, m.cols, m.cols, 1}; }
View transposed(const Matrix& m) { return {m.values.data(), m.cols, m.rows, 1, m.cols}; }

// ---- 2. The product, naive: (i, j, k) ----------------------------------------------------------
// Each stage adds the rows first ... last - 1 of A·B to C.
void multiply_naive(const View& a, const Matrix& b, Matrix& c, Index first, Index last) {
  for (Index i = first; i < last; ++i)
    for (Index j = 0; j < b.cols; ++j) {
      float sum = 0;
      for (Index k = 0; k < a.cols; ++k)
        sum += a.start[i * a.row_step + k * a.col_step] * b.row(k)[j];
      c.row(i)[j] += sum;
    }
}

// ---- 3. The product, loop order: (i, k, j) -----------------------------------------------------
void multiply_reordered(const View& a, const Matrix& b, Matrix& c, Index first, Index last) {
  for (Index i = first; i < last; ++i)
    for (Index k = 0; k < a.cols; ++k) {
      const float factor = a.start[i * a.row_step + k * a.col_step];
      const float* from = b.row(k);
      float* to = c.row(i);
      for (Index j = 0; j < b.cols; ++j) to[j] += factor * from[j];
    }
}

// ---- 4. The product, blocked -------------------------------------------------------------------
#if defined(__AVX512F__)  // a tile of C: so many sums as the vector registers hold
constexpr Index tile_rows = 8, tile_cols = 32;
#else
constexpr Index tile_rows = 4, tile_cols = 24;
#endif
constexpr Index depth = 256, height = 256;  // a panel of B fits the first cache, of A the second

void multiply_tile(const View& a, Index i, Index k0, Index ks, const float* panel, float* c,
                   Index c_step, Index cols) {
  float sum[tile_rows][tile_cols] = {};
  const float* from = a.start + i * a.row_step + k0 * a.col_step;
  for (Index k = 0; k < ks; ++k)
    for (Index r = 0; r < tile_rows; ++r) {
      const float factor = from[r * a.row_step + k * a.col_step];
      for (Index j = 0; j < tile_cols; ++j) sum[r][j] += factor * panel[k * tile_cols + j];
    }
  for (Index r = 0; r < tile_rows; ++r)
    for (Index j = 0; j < cols; ++j) c[r * c_step + j] += sum[r][j];
}

void multiply_blocked(const View& a, const Matrix& b, Matrix& c, Index first, Index last) {
  const Index full = last - (last - first) % tile_rows;  // the rows left over make no tile
  multiply_reordered(a, b, c, full, last);
  alignas(64) float panel[depth * tile_cols];  // a part of B, its rows side by side, then zeros
  for (Index i0 = first; i0 < full; i0 += height)
    for (Index k0 = 0; k0 < a.cols; k0 += depth)
      for (Index j0 = 0; j0 < b.cols; j0 += tile_cols) {
        const Index ks = std::min(depth, a.cols - k0), cols = std::min(tile_cols, b.cols - j0);
        for (Index k = 0; k < ks; ++k) {
          float* end = std::copy_n(b.row(k0 + k) + j0, cols, panel + k * tile_cols);
          std::fill_n(end, tile_cols - cols, 0.0f);
        }
        for (Index i = i0; i < std::min(full, i0 + height); i += tile_rows)
          multiply_tile(a, i, k0, ks, panel, c.row(i) + j0, c.cols, cols);
      }
}

// ---- 5. The product, blocked, on several threads -----------------------------------------------
const std::map<std::string, decltype(&multiply_naive)> stages = {
    {"naive", multiply_naive},     {"reordered", multiply_reordered},
    {"blocked", multiply_blocked}, {"threads", multiply_blocked}};

struct Product {
  decltype(&multiply_naive) multiply;
  Index threads;
  void add(const View& a, const Matrix& b, Matrix& c) const {  // C += A·B, rows of C shared out
    if (threads == 1 || a.rows * a.cols * b.cols < 10'000'000)  // less won than threads cost
      return multiply(a, b, c, 0, a.rows);
    const Index tiles = (a.rows + tile_rows - 1) / tile_rows;
    const auto edge = [&](Index p) { return std::min(a.rows, tiles * p / threads * tile_rows); };
    const auto part = [&](Index p) { multiply(a, b, c, edge(p), edge(p + 1)); };
    std::vector<std::thread> others;
    for (Index p = 1; p < threads; ++p) others.emplace_back(part, p);
    part(0);
    for (std::thread& other : others) other.join();
  }
};

// ---- 6. Layers ---------------------------------------------------------------------------------
struct Dense {  // z = x·W + b; the last row of `weights` is b
  Matrix weights, gradient;
  Dense(Index inputs, Index outputs, std::mt19937& random) : weights(inputs + 1, outputs) {
    std::normal_distribution<float> normal(0, std::sqrt(2.0f / inputs));  // He et al. (2015)
    std::generate_n(weights.row(0), inputs * outputs, [&] { return normal(random); });
  }
  void forward(const Product& product, const Matrix& x, Matrix& z) const {
    z.clear(x.rows, weights.cols);
    for (Index i = 0; i < z.rows; ++i) std::copy_n(weights.row(x.cols), z.cols, z.row(i));
    product.add(view(x), weights, z);
  }
  // dW = xᵀ·dz, db = Σ dz, and dx = dz·Wᵀ
  void backward(const Product& product, const Matrix& x, const Matrix& dz) {
    gradient.clear(weights.rows, weights.cols);
    product.add(transposed(x), dz, gradient);
    for (Index i = 0; i < dz.rows; ++i)
      for (Index j = 0; j < dz.cols; ++j) gradient.row(x.cols)[j] += dz.row(i)[j];
  }
  void backward_input(const Product& product, const Matrix& dz, Matrix& dx) const {
    Matrix turned(weights.cols, weights.rows - 1);
    for (Index i = 0; i < turned.rows; ++i)
      for (Index j = 0; j < turned.cols; ++j) turned.row(i)[j] = weights.row(j)[i];
    dx.clear(dz.rows, turned.cols);
    product.add(view(dz), turned, dx);
  }
  void update(float rate) {
    for (Index i = 0; i < weights.rows * weights.cols; ++i)
      weights.values[i] -= rate * gradient.values[i];
  }
};

void relu(Matrix& z) {
  for (float& value : z.values) value = std::max(value, 0.0f);
}
void relu_backward(const Matrix& y, Matrix& dy) {  // y = relu(z) is positive just where z is
  for (Index i = 0; i < y.rows * y.cols; ++i) dy.values[i] = y.values[i] > 0 ? dy.values[i] : 0;
}

void softmax(Matrix& z) {
  for (Index i = 0; i < z.rows; ++i) {
    float *row = z.row(i), *end = row + z.cols, sum = 0;
    const float largest = *std::max_element(row, end);
    for (float* v = row; v < end; ++v) sum += *v = std::exp(*v - largest);
    for (float* v = row; v < end; ++v) *v /= sum;
  }
}

// The mean cross-entropy of softmax(z); z becomes its gradient, (softmax(z) - one-hot) / n.
double cross_entropy(Matrix& z, const std::vector<int>& labels) {
  softmax(z);
  double loss = 0;
  for (Index i = 0; i < z.rows; ++i) {
    float& right = z.row(i)[labels[i]];
    loss -= std::log(std::max(right, 1e-37f));
    right -= 1;
  }
  for (float& value : z.values) value /= static_cast<float>(z.rows);
  return loss / static_cast<double>(z.rows);
}

// ---- 7. The network: inference, and one step of training ---------------------------------------
struct Network {
  std::vector<Dense> layers;
  std::vector<Matrix> outputs, gradients;  // of each layer, for one batch
  explicit Network(const std::vector<Index>& sizes) {
    std::mt19937 random(1);
    outputs.resize(sizes.size() - 1), gradients.resize(sizes.size() - 1);
    for (std::size_t i = 1; i < sizes.size(); ++i)
      layers.emplace_back(sizes[i - 1], sizes[i], random);
  }
  Index inputs() const { return layers.front().weights.rows - 1; }
  Index classes() const { return layers.back().weights.cols; }
  Matrix& forward(const Product& product, const Matrix& x) {
    for (std::size_t i = 0; i < layers.size(); ++i) {
      layers[i].forward(product, i == 0 ? x : outputs[i - 1], outputs[i]);
      if (i + 1 < layers.size()) relu(outputs[i]);
    }
    return outputs.back();
  }
  double step(const Product& product, const Matrix& x, const std::vector<int>& labels, float rate) {
    const double loss = cross_entropy(forward(product, x), labels);
    gradients.back() = outputs.back();
    for (std::size_t i = layers.size() - 1; i > 0; --i) {
      layers[i].backward(product, outputs[i - 1], gradients[i]);
      layers[i].backward_input(product, gradients[i], gradients[i - 1]);
      relu_backward(outputs[i - 1], gradients[i - 1]);
    }
    layers[0].backward(product, x, gradients[0]);
    for (Dense& layer : layers) layer.update(rate);
    return loss;
  }
};

// ---- 8. Files: images and labels (IDX), weights ------------------------------------------------
std::string read_file(const std::string& path) {
  std::ifstream file;
  if (std::filesystem::is_regular_file(path)) file.open(path, std::ios::binary);
  if (!file.is_open()) fail(path + ": not a file to read");
  return {std::istreambuf_iterator<char>(file), {}};
}

// IDX: 0, 0, the type (8: unsigned bytes), the rank, the dimensions (32-bit, big-endian), numbers.
std::vector<Index> idx_dimensions(const std::string& path, const std::string& bytes, int rank) {
  const std::size_t start = 4 + 4 * rank;
  if (bytes.compare(0, 2, "\x1f\x8b") == 0) fail(path + ": gzipped; unpack it first");
  if (bytes.size() < start) fail(path + ": truncated in the header");
  if (bytes.compare(0, 4, {0, 0, 8, static_cast<char>(rank)}) != 0)
    fail(path + ": wrong magic number, not 00 00 08 0" + std::to_string(rank));
  std::vector<Index> dimensions(rank, 0);
  for (std::size_t at = 4; at < start; ++at)
    dimensions[at / 4 - 1] = dimensions[at / 4 - 1] << 8 | (bytes[at] & 0xff);
  double declared = 1;  // a double, since the product of three dimensions may overflow an integer
  for (Index extent : dimensions) declared *= static_cast<double>(extent);
  if (declared > bytes.size() - start) fail(path + ": truncated, fewer bytes than declared follow");
  if (declared < bytes.size() - start) fail(path + ": more bytes than declared follow");
  if (declared == 0) fail(path + ": empty");
  return dimensions;
}

Matrix read_images(const std::string& path, Index pixels) {  // one a row, pixels from 0 to 1
  const std::string bytes = read_file(path);
  const std::vector<Index> d = idx_dimensions(path, bytes, 3);
  if (d[1] * d[2] != pixels)
    fail(path + ": " + std::to_string(d[1] * d[2]) + " pixels, not " + std::to_string(pixels));
  Matrix images(d[0], pixels);
  for (Index i = 0; i < d[0] * pixels; ++i) images.values[i] = (bytes[16 + i] & 0xff) / 255.0f;
  return images;
}

std::vector<int> read_labels(const std::string& path, Index images, Index classes) {
  const std::string bytes = read_file(path);
  if (idx_dimensions(path, bytes, 1)[0] != images)
    fail(path + ": not one label for each of the " + std::to_string(images) + " images");
  std::vector<int> labels;
  for (std::size_t i = 8; i < bytes.size(); ++i) {
    labels.push_back(bytes[i] & 0xff);
    if (labels.back() >= classes)
      fail(path + ": label " + std::to_string(labels.back()) + " is out of range");
  }
  return labels;
}

// Weights: "CRWEIGHT", the number of layers, the sizes from input to output (32-bit unsigned);
// then for each layer W (inputs × outputs, row after row) and b as float32; all little-endian.
void write_weights(const std::string& path, const Network& net) {
  std::vector<std::uint32_t> head = {std::uint32_t(net.layers.size()), std::uint32_t(net.inputs())};
  for (const Dense& layer : net.layers) head.push_back(layer.weights.cols);
  std::ofstream file(path, std::ios::binary);
  file.write("CRWEIGHT", 8).write(reinterpret_cast<char*>(head.data()), 4 * head.size());
  for (const Dense& layer : net.layers) {
    const std::vector<float>& values = layer.weights.values;
    file.write(reinterpret_cast<const char*>(values.data()), 4 * values.size());
  }
  if (!file.flush()) fail(path + ": cannot be written");
}

Network read_weights(const std::string& path) {
  const std::string bytes = read_file(path);
  std::uint32_t layers = 0;
  if (bytes.size() < 12 || bytes.compare(0, 8, "CRWEIGHT") != 0)
    fail(path + ": not a file of weights, it must begin with CRWEIGHT");
  std::memcpy(&layers, bytes.data() + 8, 4);
  std::size_t at = 16 + 4 * std::size_t{layers}, wanted = at;
  if (layers < 1 || layers > 64 || bytes.size() < at)
    fail(path + ": a truncated header, or not 1 to 64 layers");
  std::vector<std::uint32_t> sizes(layers + 1);
  std::memcpy(sizes.data(), bytes.data() + 12, 4 * sizes.size());
  for (std::size_t i = 0; i <= layers; ++i) {
    if (sizes[i] < 1 || sizes[i] > 1 << 20) fail(path + ": the size of a layer is out of range");
    if (i > 0) wanted += 4 * (std::size_t{sizes[i - 1]} + 1) * sizes[i];
  }
  if (bytes.size() != wanted) fail(path + ": truncated, or too long for its layers");
  Network net({sizes.begin(), sizes.end()});
  for (Dense& layer : net.layers)
    for (float& weight : layer.weights.values) {  // W, and then b, its last row
      std::memcpy(&weight, bytes.data() + at, 4), at += 4;
      if (!std::isfinite(weight)) fail(path + ": a weight is not a finite number");
    }
  return net;
}

// ---- 9. The commands ---------------------------------------------------------------------------
const std::string usage =
    "  network train IMAGES LABELS [--from WEIGHTS] [--out WEIGHTS] [--epochs 1] [--lr 0.1]\n"
    "  network predict WEIGHTS IMAGES      prints for each image its class and the probabilities\n"
    "  network bench train|predict         prints seconds for one batch: the least, the median\n"
    "  each: [--batch 64] [--stage naive|reordered|blocked|threads] [--threads 2]\n";

std::map<std::string, std::string> options = {
    {"--from", ""}, {"--out", "weights"}, {"--epochs", "1"}, {"--lr", "0.1"}, {"--batch", "64"},
    {"--stage", "threads"}, {"--threads", "2"}, {"--seconds", "0.1"}};

double number(const std::string& name, double low, double high) {
  std::istringstream text(options.at(name));
  double value = 0;
  if (!(text >> value) || !text.eof() || value < low || value > high)
    fail(name + " " + text.str() + ": not a number in its range");
  return value;
}
Index whole(const std::string& name, double high) {
  const double value = number(name, 1, high);
  return value == std::floor(value) ? Index(value) : (fail(name + ": not a whole number"), 0);
}
double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void train(const Product& product, const std::string& image_file, const std::string& label_file) {
  const std::string from = options["--from"];
  Network net = from.empty() ? Network({784, 128, 64, 10}) : read_weights(from);
  const Matrix images = read_images(image_file, net.inputs());
  const std::vector<int> labels = read_labels(label_file, images.rows, net.classes());
  const Index epochs = whole("--epochs", 1e6), batch = whole("--batch", 1e6);
  const float rate = number("--lr", 0, 1e6);
  for (Index epoch = 1; epoch <= epochs; ++epoch) {
    const double start = seconds();
    double loss = 0;
    for (Index first = 0; first < images.rows; first += batch) {  // in the order of the file
      Matrix x(std::min(batch, images.rows - first), images.cols);
      std::copy_n(images.row(first), x.rows * x.cols, x.row(0));
      const std::vector<int> y(labels.begin() + first, labels.begin() + first + x.rows);
      loss += net.step(product, x, y, rate) * x.rows / images.rows;
    }
    if (!std::isfinite(loss)) fail("the loss is not finite; a smaller --lr may help");
    std::cout << "epoch " << epoch << "  loss " << loss << "  " << seconds() - start << " s\n";
  }
  write_weights(options["--out"], net);
}

void predict(const Product& product, const std::string& weights, const std::string& image_file) {
  Network net = read_weights(weights);
  const Matrix images = read_images(image_file, net.inputs());
  Matrix& p = net.forward(product, images);
  softmax(p);
  std::cout.precision(9);  // as many digits as float32 needs
  for (Index i = 0; i < p.rows; ++i) {
    std::cout << std::max_element(p.row(i), p.row(i) + p.cols) - p.row(i);
    for (Index j = 0; j < p.cols; ++j) std::cout << ' ' << p.row(i)[j];
    std::cout << '\n';
  }
}

void bench(const Product& product, bool training) {
  Network net({784, 128, 64, 10});
  Matrix x(whole("--batch", 1e6), net.inputs());
  std::fill(x.values.begin(), x.values.end(), 0.5f);
  const std::vector<int> y(x.rows, 7);
  std::vector<double> times;
  const double end = seconds() + number("--seconds", 0, 1e3);
  while (times.empty() || seconds() < end) {
    const double start = seconds();
    if (training) net.step(product, x, y, 0.0f);  // at rate 0, all steps are alike
    else softmax(net.forward(product, x));
    times.push_back(seconds() - start);
  }
  std::sort(times.begin(), times.end());
  std::cout << times.front() << ' ' << times[times.size() / 2] << '\n';
}

int main(int count, char** given) try {
  std::vector<std::string> words;
  for (int i = 1; i < count; ++i) {
    const std::string word = given[i];
    if (word.rfind("--", 0) != 0) words.push_back(word);
    else if (options.count(word) == 0 || i + 1 == count) fail(word + ": no option, or no value");
    else options[word] = given[++i];
  }
  const std::string stage = options["--stage"], command = words.empty() ? "" : words[0];
  if (stages.count(stage) == 0) fail("--stage " + stage + ": no such stage;\n" + usage);
  const Product product{stages.at(stage), stage == "threads" ? whole("--threads", 64) : 1};
  if (command == "train" && words.size() == 3) train(product, words[1], words[2]);
  else if (command == "predict" && words.size() == 3) predict(product, words[1], words[2]);
  else if (command == "bench" && words.back() == "train") bench(product, true);
  else if (command == "bench" && words.back() == "predict") bench(product, false);
  else fail("the commands are\n" + usage);
} catch (const std::exception& error) {
  std::cerr << "network: " << error.what() << '\n';
  return 1;
}
