/* Terminals. */
#ifndef MPROC_OS_TERMINAL_H
#define MPROC_OS_TERMINAL_H

/* How many columns the terminal at fd has; 0 when it does not say. -ENOTTY and others: it is no terminal. */
int os_terminal_width(int fd);

#endif
