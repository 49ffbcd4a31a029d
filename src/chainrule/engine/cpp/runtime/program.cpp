#include "runtime/program.h"

#include <pthread.h>
#include <time.h>

#include <atomic>
#include <chrono>

#include "runtime/pool.h"

namespace cr {

namespace {

i64 bytes_of(const View& view) {
    i64 lowest, highest;
    return reach(view, lowest, highest) && lowest == 0 ? highest : -1;
}

}  // namespace

int Program::add_base(PyObject* object, bool writable) {
    auto array = std::make_unique<Array>();
    View view;
    if (!array->read(object, writable, view)) return -1;
    bases_.push_back({std::move(array), view.data, bytes_of(view), writable});
    return static_cast<int>(bases_.size()) - 1;
}

int Program::add_slot(const View& like, bool written) {
    const i64 bytes = bytes_of(like);
    if (bytes < 0) problem = "the size of a slot overflows";
    bases_.push_back({std::make_unique<Array>(), nullptr, bytes, written});
    slots_.push_back({like, static_cast<int>(bases_.size()) - 1, written});
    return slots_.back().base;
}

int Program::add_buffer(const Place& place) {
    i64 lowest, highest, first, last;
    const bool known = place.base >= 0 && place.base < static_cast<int>(bases_.size());
    if (!known || !reach(place.view, lowest, highest) ||
        __builtin_add_overflow(place.offset, lowest, &first) ||
        __builtin_add_overflow(place.offset, highest, &last) || first < 0 ||
        last > bases_[place.base].bytes || place.offset % dtype_size(place.view.dtype))
        problem = "buffer " + std::to_string(buffers_.size()) + " does not lie inside its memory";
    buffers_.push_back(place);
    return static_cast<int>(buffers_.size()) - 1;
}

void Program::add_call(KernelFn kernel, std::vector<int> in, std::vector<int> out,
                       std::vector<i64> ints, std::vector<double> floats) {
    const i64 first = static_cast<i64>(view_buffers_.size());
    const int n_in = static_cast<int>(in.size()), n_out = static_cast<int>(out.size());
    in.insert(in.end(), out.begin(), out.end());
    for (int buffer : in) {
        if (buffer < 0 || buffer >= static_cast<int>(buffers_.size())) {
            problem = "instruction " + std::to_string(calls_.size()) + " names an unknown buffer";
            return;
        }
        view_buffers_.push_back(buffer);
    }
    for (int buffer : out)
        if (!bases_[buffers_[buffer].base].writable)
            problem = "instruction " + std::to_string(calls_.size()) + " writes what is read-only";
    if (n_in > MAX_OPERANDS || n_out > MAX_OPERANDS)
        problem = "instruction " + std::to_string(calls_.size()) + " has too many operands";
    calls_.push_back({kernel, first, n_in, n_out, std::move(ints), std::move(floats), Call{}});
}

void Program::add_callback() { calls_.push_back({nullptr, 0, 0, 0, {}, {}, Call{}}); }

void Program::seal() {
    trials_.prepare(calls_.size());
    views_.resize(view_buffers_.size());
    for (Instruction& c : calls_)
        c.call = {views_.data() + c.first_view, views_.data() + c.first_view + c.n_in,
                  c.ints.data(), c.floats.data(), c.n_in, c.n_out,
                  static_cast<std::int32_t>(c.ints.size()),
                  static_cast<std::int32_t>(c.floats.size())};
    for (std::size_t base = 0; base < bases_.size(); ++base) refresh(static_cast<int>(base));
}

// Updates the addresses of the views of this base.
void Program::refresh(int base) {
    for (std::size_t i = 0; i < views_.size(); ++i) {
        const Place& place = buffers_[view_buffers_[i]];
        if (place.base != base) continue;
        views_[i] = place.view;
        views_[i].data = bases_[base].data + place.offset;
    }
}

bool Program::bind(i64 slot, PyObject* array) {
    const Slot& expected = slots_[slot];
    Base& base = bases_[expected.base];
    if (base.array->object() == array) return true;  // the same array as in the last run
    View view;
    if (!base.array->read(array, expected.written, view)) return false;
    if (!same_layout(view, expected.like)) {
        base.array->release();
        PyErr_Format(PyExc_ValueError,
                     "the array of slot %d has another shape, dtype or layout than planned",
                     static_cast<int>(slot));
        return false;
    }
    if (base.data == view.data) return true;
    base.data = view.data;
    refresh(expected.base);
    return true;
}

bool Program::bind_new(i64 slot) {
    Slot& result = slots_[slot];
    if (!result.arrays) {
        const View& like = result.like;
        result.arrays = Arrays::of(numpy_type(like.dtype), like.ndim, like.shape);
    }
    release(slot);
    const Ref array = result.arrays->take();
    return array && bind(slot, array.get());
}

namespace {

std::atomic<unsigned> forks{0};

// The number of forks of this process. A forked child has only the forking thread, so no other
// thread of it can be running a program.
unsigned forked() {
    static const int registered = pthread_atfork(nullptr, nullptr, [] { ++forks; });
    (void)registered;
    return forks.load();
}

}  // namespace

bool Program::inside() const {
    return running_ && runs_in_ == forked() && runner_ == std::this_thread::get_id();
}

bool Program::enter() {
    while (running_ && runs_in_ == forked()) {
        Py_BEGIN_ALLOW_THREADS
        std::this_thread::sleep_for(std::chrono::microseconds(20));
        Py_END_ALLOW_THREADS
        if (PyErr_CheckSignals() != 0) return false;
    }
    running_ = true;
    runner_ = std::this_thread::get_id();
    runs_in_ = forked();
    return true;
}

namespace {

// The milliseconds of a clock that is very cheap to read.
i64 coarse_milliseconds() {
    timespec now;
#if defined(CLOCK_MONOTONIC_COARSE)
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
#else
    clock_gettime(CLOCK_MONOTONIC, &now);
#endif
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

constexpr i64 PATIENCE = 100;  // milliseconds between two checks for Ctrl-C

bool interrupted() {
    const PyGILState_STATE lock = PyGILState_Ensure();
    const bool raised = PyErr_CheckSignals() != 0;
    PyGILState_Release(lock);
    return raised;
}

class Sharing {  // of the kernels of a run; what was before it holds again after it
  public:
    ~Sharing() { share_work(before_); }

  private:
    const bool before_ = share_work(true);
};

}  // namespace

Program::Outcome Program::run(PyObject* callback, double* times) {
    using Clock = std::chrono::steady_clock;
    trials_.begin(thread_count());
    const Sharing sharing;
    Outcome outcome;
    if (trials_.in_trial() && !times) times = trials_.times();
    const auto start = times || trials_.is_timed() ? Clock::now() : Clock::time_point{};
    auto before = start;
    const long jobs = shared_jobs();
    i64 looked = coarse_milliseconds();
    for (std::size_t i = 0; i < calls_.size(); ++i) {
        const Instruction& c = calls_[i];
        if (i < committed && coarse_milliseconds() - looked > PATIENCE) {
            looked = coarse_milliseconds();
            if (interrupted()) return {OK, static_cast<int>(i), true};
        }
        share_work(trials_.shares(i));
        if (c.kernel) {
            outcome.status = c.kernel(c.call);
        } else {
            const PyGILState_STATE lock = PyGILState_Ensure();
            PyObject* result = PyObject_CallFunction(callback, "n", static_cast<Py_ssize_t>(i));
            outcome.python_error = !result;
            Py_XDECREF(result);
            PyGILState_Release(lock);
        }
        if (times) {
            const auto after = Clock::now();
            times[i] = std::chrono::duration<double>(after - before).count();
            before = after;
        }
        if (outcome.python_error || outcome.status.code != Code::ok) {
            outcome.instruction = static_cast<int>(i);
            return outcome;
        }
    }
    if (trials_.in_trial()) trials_.note(times, shared_jobs() > jobs);
    else if (trials_.is_timed())
        trials_.watch(std::chrono::duration<double>(Clock::now() - start).count());
    return outcome;
}

}  // namespace cr
