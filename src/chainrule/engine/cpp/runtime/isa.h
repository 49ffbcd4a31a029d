// Compiling one source for several instruction sets.
//
// Each kernel file is compiled once for each instruction set. CR_ISA (baseline, avx2, avx512, neon)
// is the name of its namespace; one namespace is selected when the module is loaded. A file that
// includes this must not use inline functions or templates from outside the namespace. The linker
// keeps one copy of such a function, possibly one with AVX-512 instructions, which would crash on a
// machine without them. So such files include no standard library headers except those like
// <cstdint>.
#pragma once
#include "runtime/call.h"
#include "runtime/pool.h"

#ifndef CR_ISA
#define CR_ISA baseline
#endif

#define CR_KERNEL(name) Status name(const Call& call)
