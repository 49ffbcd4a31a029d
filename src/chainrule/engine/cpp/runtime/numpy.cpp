#define CR_IMPORTS_NUMPY
#include "runtime/numpy.h"

namespace cr {

bool import_numpy() { return PyArray_ImportNumPyAPI() == 0; }

}  // namespace cr
