/* Inputs of any size: what mproc_input points to, in a block of the job's. */
#ifndef MPROC_POOL_HOST_INPUTS_H
#define MPROC_POOL_HOST_INPUTS_H

#include "pool/host/host.h"

/* Have a job over these inputs: sets in, in_size, has_inputs and input_bytes of a wish whose copy_in and in_place are
 * as they will be. False when these are no inputs. */
bool inputs_plan(struct host_job *wish, const mproc_input *inputs, size_t count);

/* How many inputs from first on, at least one and at most `most`, need no more than `bytes` to be copied. */
size_t inputs_that_fit(const struct host_job *wish, size_t first, size_t most, size_t bytes);

/* Give a job that nobody else knows its inputs. 0 or -ENOMEM. */
int inputs_load(struct job *job, const struct host_job *wish, size_t first, size_t count);

#endif
