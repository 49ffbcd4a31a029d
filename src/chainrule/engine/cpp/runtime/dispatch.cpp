#include "runtime/dispatch.h"

#include <cstring>

#include "kernels/fused_ops.h"
#include "runtime/selection.h"

namespace cr {

int instruction_sets(InstructionSet (&sets)[MAX_SETS]) {
    int n = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    // x86-64-v4 and -v3, for which the two sets are compiled. The compiler's helper also checks
    // that the operating system saves the wide registers.
    const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
    sets[n++] = {"avx512", avx512::kernels, v4};
    sets[n++] = {"avx2", avx2::kernels, v3};
#endif
#if defined(__aarch64__)
    sets[n++] = {"neon", neon::kernels, true};
#else
    sets[n++] = {"baseline", baseline::kernels, true};
#endif
    return n;
}

namespace {

InstructionSet& current_set() {
    static InstructionSet current = [] {
        InstructionSet sets[MAX_SETS];
        const int n = instruction_sets(sets);
        for (int i = 0; i < n; ++i)
            if (sets[i].supported) return sets[i];
        return sets[n - 1];
    }();
    return current;
}

}  // namespace

const InstructionSet& chosen_set() { return current_set(); }

bool choose_set(const char* name) {
    InstructionSet sets[MAX_SETS];
    const int n = instruction_sets(sets);
    for (int i = 0; i < n; ++i)
        if (sets[i].supported && std::strcmp(sets[i].name, name) == 0) {
            current_set() = sets[i];
            return true;
        }
    return false;
}

KernelFn kernel_named(const char* name) {
    for (const Kernel* k = chosen_set().kernels; k->name; ++k)
        if (std::strcmp(k->name, name) == 0) return k->run;
    return nullptr;
}

const FusedOp fused_op_names[] = {
#define X(name, operands, value) {#name, operands},
    CR_FUSED_OPS(X)
#undef X
    {nullptr, 0},
};

}  // namespace cr
