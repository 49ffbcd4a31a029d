// The kernels of one instruction set, as a table.
#include "runtime/dispatch.h"
#include "runtime/isa.h"
#include "kernels/kernel_list.h"

namespace cr::CR_ISA {

#define X(name) CR_KERNEL(name);
CR_KERNELS(X)
#undef X

const Kernel kernels[] = {
#define X(name) {#name, &name},
    CR_KERNELS(X)
#undef X
    {nullptr, nullptr},
};

}  // namespace cr::CR_ISA
