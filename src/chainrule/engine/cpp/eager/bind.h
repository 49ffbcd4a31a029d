// Adds the functions of the eager path to the Python module.
#pragma once
#include <nanobind/nanobind.h>

namespace cr {

void bind_eager(nanobind::module_& m);

}  // namespace cr
