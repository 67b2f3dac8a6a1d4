/* What key.c gives to codec.c. */
#ifndef MPROC_VALUE_KEY_H
#define MPROC_VALUE_KEY_H

#include "value/value.h"

/* The simplest value that equals a key: an int for a bool and for a double that is one, one NaN for all. It borrows. */
mproc_value value_plain_key(const mproc_value *key);

#endif
