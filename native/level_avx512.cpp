#include <stdint.h>

#include "lanes_avx512.h"
#define LEVEL "avx512"
#define KERNELS avx512_kernels
#include "arithmetic.h"
