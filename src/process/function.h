/* References to functions, and to static data, that hold in every process which has, or can load, the same object file:
 * for fresh processes, where the same function lies at another address. A static function will do. */
#ifndef MPROC_PROCESS_FUNCTION_H
#define MPROC_PROCESS_FUNCTION_H

#include <stdbool.h>
#include <stdint.h>

#define FUNCTION_ID_SIZE   32
#define FUNCTION_PATH_SIZE 472

/* Any function, to be cast to its own type before it is called. */
typedef void function_address(void);

/* Plain data, which may be copied and lie in shared memory. */
struct function_reference {
    uint64_t offset;               /* from where the object file begins in memory */
    uint64_t extent;               /* bytes of memory that the object file takes */
    uint8_t id_size;               /* 0: the object file has no build id, and the path tells it */
    uint8_t id[FUNCTION_ID_SIZE];  /* its build id */
    char path[FUNCTION_PATH_SIZE]; /* the object file, absolute; "" when it is the program, or the path is too long */
};

/* Refer to a function of this process. 0, or MPROC_NO_FUNCTION: it is not in the code of a loaded object file. */
int function_refer(struct function_reference *reference, function_address *function);

/* Whether no other process can load the object file that a function of this process is in: it was deleted, or another
 * one has its place. The program itself can be executed all the same. */
bool function_is_gone(function_address *function);

/* The function in this process, loading its object file if need be; NULL when it cannot be found. Not
 * async-signal-safe. */
function_address *function_find(const struct function_reference *reference);

/* The same for static data, of which each process has its own: as the object file has it at first. */
int data_refer(struct function_reference *reference, const void *data);
const void *data_find(const struct function_reference *reference);

#endif
