#include <stdint.h>

#include "lanes_avx2.h"
#define LEVEL "avx2"
#define KERNELS avx2_kernels
#include "arithmetic.h"
