/* What libgcc's unwinder has and its headers do not declare. */
#ifndef MPROC_OS_UNWIND_H
#define MPROC_OS_UNWIND_H

struct unwind_bases {
    void *text;
    void *data;
    void *function;
};

/* The unwind data of the function at an address; NULL where the unwinder knows none. */
extern const void *_Unwind_Find_FDE(void *address, struct unwind_bases *bases); /* NOLINT */

#endif
