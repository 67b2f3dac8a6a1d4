/* The start record. spawn.c and forkserver.c write it, init.c and forkserver_main.c read it. What is read was written
 * by this very library in the parent; the checks are against accidents, not against an attacker. */
#include "process/start_record.h"

#include "base/log.h"
#include "connection/connection.h"
#include "os/allocate.h"
#include "os/descriptor.h"
#include "os/file.h"
#include "util/failure.h"
#include <errno.h>
#include <string.h>

#define MAGIC 0x6d70726f

/* Bytes of this process that grow. */
struct bytes {
    char *data;
    size_t size;
    size_t capacity;
};

static int start_record_reserve(struct bytes *bytes, size_t more)
{
    if (bytes->capacity - bytes->size >= more)
        return 0;
    size_t capacity = (bytes->size + more) * 2;
    char *data = os_realloc(bytes->data, capacity);
    if (!data)
        return -ENOMEM;
    bytes->data = data;
    bytes->capacity = capacity;
    return 0;
}

static int start_record_append(struct bytes *bytes, const void *data, size_t size)
{
    int result = start_record_reserve(bytes, size);
    if (!result) {
        memcpy(bytes->data + bytes->size, data, size);
        bytes->size += size;
    }
    return result;
}

static int append_strings(struct bytes *bytes, char *const *strings)
{
    int result = 0;
    for (; !result && strings && *strings; strings++)
        result = start_record_append(bytes, *strings, strlen(*strings) + 1);
    return result;
}

static int append_connection(struct bytes *bytes, mproc_connection *connection)
{
    size_t size = 64;
    for (;;) {
        int result = start_record_reserve(bytes, sizeof size + size);
        if (result)
            return result;
        result = connection_describe(connection, bytes->data + bytes->size + sizeof size, size, &size);
        if (result == MPROC_TOO_SMALL)
            continue;
        if (!result) {
            memcpy(bytes->data + bytes->size, &size, sizeof size);
            bytes->size += sizeof size + size;
        }
        return result;
    }
}

static int append_connections(struct bytes *bytes, const struct start *start)
{
    int result = 0;
    for (size_t i = 0; !result && i < start->connection_count; i++)
        result = append_connection(bytes, start->connections[i]);
    return result;
}

static int start_record_write_file(int fd, const struct start_record *record, const struct bytes *connections,
                                   const struct bytes *strings)
{
    int result = os_write_all(fd, record, sizeof *record);
    if (!result)
        result = os_write_all(fd, record->start.arg, record->start.arg_size);
    if (!result)
        result = os_write_all(fd, connections->data, connections->size);
    if (!result)
        result = os_write_all(fd, strings->data, strings->size);
    return result ? result : os_rewind(fd);
}

static int make_file(const struct start_record *record, const struct bytes *connections, const struct bytes *strings)
{
    int fd = os_scratch_file();
    if (fd < 0)
        return fd;
    int result = start_record_write_file(fd, record, connections, strings);
    if (!result)
        return fd;
    os_close(fd);
    return result;
}

static void start_record_begin(struct start_record *record, enum start_record_kind kind)
{
    memset(record, 0, sizeof *record);
    record->magic = MAGIC;
    record->head_size = sizeof *record;
    record->kind = kind;
    record->log = log_inherit();
    record->method = mproc_start_method_get();
}

int start_record_of_child(const struct start *start, const struct function_reference *function,
                          char *const *environment)
{
    struct start_record record;
    struct bytes connections = {NULL, 0, 0};
    struct bytes strings = {NULL, 0, 0};
    start_record_begin(&record, RECORD_CHILD);
    record.function = *function;
    record.start = *start;
    record.key_is_given = authkey_is_given();
    int result = mproc_authkey_get(record.key, sizeof record.key, &record.key_size);
    if (!result)
        result = append_connections(&connections, start);
    if (!result)
        result = append_strings(&strings, environment);
    record.connections_size = connections.size;
    record.strings_size = strings.size;
    if (!result)
        result = make_file(&record, &connections, &strings);
    free(connections.data);
    free(strings.data);
    return result;
}

int start_record_of_server(char *const *libraries)
{
    const struct bytes none = {NULL, 0, 0};
    struct start_record record;
    struct bytes strings = {NULL, 0, 0};
    start_record_begin(&record, RECORD_SERVER);
    int result = append_strings(&strings, libraries);
    record.strings_size = strings.size;
    if (!result)
        result = make_file(&record, &none, &strings);
    free(strings.data);
    return result;
}

static size_t size_behind(const struct start_record *record)
{
    return record->connections_size + record->start.arg_size + record->strings_size;
}

int start_record_read(int fd, struct start_record **record)
{
    struct start_record head;
    int result = os_read_all(fd, &head, sizeof head);
    if (!result && (head.magic != MAGIC || head.head_size != sizeof head))
        result = failure(-EINVAL, "the start record is damaged, or of another version of the library");
    if (result)
        return result;
    struct start_record *whole = os_malloc(sizeof head + size_behind(&head));
    if (!whole)
        return -ENOMEM;
    *whole = head;
    result = os_read_all(fd, whole + 1, size_behind(&head));
    if (result)
        free(whole);
    else
        *record = whole;
    return result;
}

void *start_record_argument(struct start_record *record)
{
    return record + 1;
}

unsigned char *start_record_connections(struct start_record *record)
{
    return (unsigned char *)(record + 1) + record->start.arg_size;
}

char *start_record_strings(struct start_record *record)
{
    return (char *)start_record_connections(record) + record->connections_size;
}

char **start_record_string_list(struct start_record *record)
{
    char *text = start_record_strings(record);
    char *end = text + record->strings_size;
    size_t count = 0;
    for (const char *at = text; at < end; at += strlen(at) + 1)
        count++;
    char **list = os_malloc((count + 1) * sizeof *list);
    if (!list)
        return NULL;
    for (size_t i = 0; i < count; i++, text += strlen(text) + 1)
        list[i] = text;
    list[count] = NULL;
    return list;
}
