/* The start record: what a fresh process is told by the process that started it, through a file in memory that it
 * inherits. The file belongs to the kernel, so a process that dies on the way leaves nothing behind. */
#ifndef MPROC_PROCESS_START_RECORD_H
#define MPROC_PROCESS_START_RECORD_H

#include "process/authkey.h"
#include "process/function.h"
#include "process/start.h"

enum start_record_kind {
    RECORD_CHILD = 1, /* run a target */
    RECORD_SERVER     /* be the fork server */
};

/* Written by the parent, read by the fresh process; plain data. Behind it, in this order: the argument; the
 * descriptions of the connections, each with its size before it; strings, each with its '\0'. */
struct start_record {
    _Alignas(16) uint32_t magic; /* and so the argument is aligned for whatever it is */
    uint32_t head_size;
    enum start_record_kind kind;
    int log;
    int method; /* the default start method */
    struct function_reference function;
    struct start start; /* without its pointers and descriptors, except arg where arg_size is 0 */
    unsigned char key[AUTHKEY_MAX];
    size_t key_size;
    bool key_is_given;
    size_t connections_size;
    size_t strings_size; /* the environment of a child of the fork server, or the objects that the server loads */
};

/* Write the record of a child; and of a server that loads these objects. The descriptor of the file, or -errno. */
int start_record_of_child(const struct start *start, const struct function_reference *function,
                          char *const *environment);
int start_record_of_server(char *const *libraries);

/* Read a record, which stays until the process ends. 0; -EINVAL or -EPIPE: it is none; -errno. */
int start_record_read(int fd, struct start_record **record);

/* The parts behind a record that was read. */
void *start_record_argument(struct start_record *record);
unsigned char *start_record_connections(struct start_record *record);
char *start_record_strings(struct start_record *record);

/* The strings as a list that ends with NULL; NULL when there is no memory. */
char **start_record_string_list(struct start_record *record);

#endif
