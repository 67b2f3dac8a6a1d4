/* This thread's stack, and the object files that its functions are in. Nothing here takes a lock or memory once
 * os_stack_prepare() was called, so all of it may be called in a handler, whatever it interrupted. */
#ifndef MPROC_OS_STACK_H
#define MPROC_OS_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Have done what is done once in a process; children inherit it. */
void os_stack_prepare(void);

/* A function that is being called. */
struct os_stack_call {
    uintptr_t address; /* where it goes on */
    uintptr_t frame;   /* the end of its place on the stack */
    bool interrupted;  /* it did not call the one before: a signal has interrupted it at that address */
};

/* Call visit for each function that is being called, the innermost first, as long as it returns true. */
void os_stack_walk(bool (*visit)(const struct os_stack_call *call, void *arg), void *arg);

/* From the third argument of a handler: where the thread was. And, for a place that is in no function, from where it
 * was called, if the machine tells, or 0; reads the top of the stack. */
uintptr_t os_stack_interrupted(const void *context);
uintptr_t os_stack_caller(const void *context);

/* A loaded object file. */
struct os_object {
    uintptr_t base;             /* added to the addresses in the file */
    const unsigned char *begin; /* where it is mapped, */
    const unsigned char *end;   /* to here */
    const char *path;           /* of the file, or "" for the program itself */
};

/* The object in which an address is. False when it is in none. */
bool os_object_at(uintptr_t address, struct os_object *object);

#endif
