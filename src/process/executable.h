/* The program that a fresh process runs, and with which arguments. */
#ifndef MPROC_PROCESS_EXECUTABLE_H
#define MPROC_PROCESS_EXECUTABLE_H

#include <stdbool.h>

#define EXECUTABLE_PATH_SIZE 4096

/* The arguments of a program that was started through the dynamic loader come behind the loader's own. */
#define EXECUTABLE_ARGUMENTS_MAX 32

/* What is given to exec: arguments is what comes before a comment. */
struct executable {
    char path[EXECUTABLE_PATH_SIZE];
    char program[EXECUTABLE_PATH_SIZE]; /* its name, where path is the loader's */
    const char *arguments[EXECUTABLE_ARGUMENTS_MAX + 1];
};

/* Whether mproc_executable_set() chose another program than this one. */
bool executable_is_chosen(void);

/* What mproc_executable_set() said, or this program, as it was started. 0 or -errno. */
int executable_find(struct executable *executable);

/* Whether a fresh run of the present choice has reached mproc_init(); and that one has. */
bool executable_is_proven(void);
void executable_prove(void);

#endif
