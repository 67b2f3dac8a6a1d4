/* The program that a fresh process runs. */
#ifndef MPROC_PROCESS_EXECUTABLE_H
#define MPROC_PROCESS_EXECUTABLE_H

#define EXECUTABLE_PATH_SIZE 4096

/* What mproc_executable_set() said, or this program. 0 or -errno. */
int executable_path(char path[EXECUTABLE_PATH_SIZE]);

#endif
