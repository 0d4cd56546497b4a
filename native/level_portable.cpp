#include <stdint.h>

#include "lanes_portable.h"
#define LEVEL "portable"
#define KERNELS portable_kernels
#include "arithmetic.h"
