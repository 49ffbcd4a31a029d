// What is known of the calls of an op: for each combination of parameters and layouts that was seen,
// the specs of the results, and the kernel, the view or the NumPy reference that gives them.
//
// The first call with certain parameters and layouts runs the op's spec rule in Python, which raises
// all errors about shapes and dtypes, and looks for a kernel. `add` notes what was found (see
// evaluate.py). So another such call needs neither: a spec rule depends on nothing else.
#pragma once
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "eager/results.h"
#include "eager/words.h"
#include "runtime/prepared.h"

namespace cr {

// A few owned references.
struct Refs {
    Refs() = default;
    Refs(const Refs&) = delete;
    ~Refs() {
        for (int i = 0; i < count; ++i) Py_DECREF(at[i]);
    }
    void add(Ref reference) { at[count++] = reference.release(); }
    int count = 0;
    PyObject* at[MAX_OPERANDS];
};

// The view of an array that an op makes of its input.
struct Window {
    i64 offset;
    int ndim;
    npy_intp shape[MAX_DIMS], strides[MAX_DIMS];
    bool writable, same;  // same: the input itself
};

struct KnownCall {
    enum class Way { kernel, copies, reference, view };
    std::vector<i64> words;
    Way way;
    bool several;          // the results are a tuple, even if it is of one
    bool large;            // Python's lock is released while the kernel runs
    bool followed;         // writes to the output reach the input, and the other way round
    Prepared kernel{nullptr, {}, {}};
    std::vector<std::shared_ptr<Arrays>> results;
    Window window;
    Ref params;       // the parameters by name
    Ref input_specs;  // a tuple of Spec for each input, and for each output
    Ref specs;
};

// What the tape reads in the record of an op (see primitive.py).
struct Facts {
    bool read(PyObject* primitive);  // false with a Python error set
    enum class Promote { none, common, floating } promote;
    bool has_arguments, partial, asks_needs, is_view;
    int variadic_from;
    std::vector<int> saved_positions, spec_positions;
    std::vector<int> output_positions;  // -1: all outputs
    Ref saved_params;                 // the names
    Ref asked;  // the names of the derivative's parameters: params, inputs, specs, outputs, needs
};

class Calls {
  public:
    Calls() = default;
    Calls(const Calls&) = delete;
    Calls& operator=(const Calls&) = delete;
    ~Calls();

    // The calls of a record, which are made at its first use. Null with a Python error set.
    static Calls* of(PyObject* primitive);
    static void forget_all();

    std::shared_ptr<const KnownCall> find(const Words& words) const;
    void add(const Words& words, std::shared_ptr<KnownCall> call);

    Facts facts;

  private:
    std::unordered_multimap<std::uint64_t, std::shared_ptr<const KnownCall>> calls_;
};

enum class Outcome { done, failed, error };  // failed: by the status of the kernel

// Runs a call on arrays with its layouts. The results are added to `results`.
Outcome run(const KnownCall& call, PyObject* primitive, PyObject* const* arrays, int count,
            Refs& results, Status& status);

// Runs the kernel of a call, which writes its results into given arrays.
Status run_into(const KnownCall& call, PyObject* const* arrays, int count, const Refs& results);

// evaluate(primitive, arrays, params) → an array or a tuple of arrays. NotImplemented for a call
// that is not known; None if it needs copies of the arrays in C order; a list that reports an error
// of the kernel.
PyObject* evaluate(PyObject* module, PyObject* const* arguments, Py_ssize_t count);

}  // namespace cr
