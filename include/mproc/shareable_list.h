/* Shareable lists: a fixed number of small values in shared memory with a name, laid out as CPython's ShareableList, so
 * that its programs and this one read and write the same list.
 *
 *     mproc_shareable_list *list;
 *     mproc_value items[] = {mproc_int(0), mproc_string("idle")};
 *     mproc_shareable_list_create(&list, "state", mproc_list_of(items, 2));
 *     mproc_shareable_list_set(list, 1, mproc_string("busy"));  // in Python: ShareableList(name='state')[1] == 'busy'
 *     list = mproc_shareable_list_free(list);                   // by the owner of the name: the name goes too
 *
 * Items are nil, bool, int, double, string and bytes. Each has its place from the beginning: another item may be stored
 * there, of whatever kind, but a string or bytes only as long as the place is. As in CPython, NULs at the end of
 * strings and bytes are not kept, and nothing is locked: a program that writes while others look needs a lock of its
 * own. Within a family mproc_list has none of these limits.
 *
 * What is found in the memory is checked at each use: whatever somebody writes there, nothing but wrong items comes of
 * it. Functions return -EINVAL for NULL. Any thread may read; one at a time may write. */
#ifndef MPROC_SHAREABLE_LIST_H
#define MPROC_SHAREABLE_LIST_H

#include <mproc/shared_memory.h>
#include <mproc/value.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mproc_shareable_list mproc_shareable_list;

/* Make one of the items of a list value, under that name or a new one (NULL). A string or bytes has room for up to 8
 * bytes more, to the next multiple of 8. -EINVAL too for other kinds of items; else as mproc_shared_memory_create(). */
MPROC_API int mproc_shareable_list_create(mproc_shareable_list **list, const char *name, mproc_value items);

/* Use one that is there. MPROC_BROKEN: that memory holds no such list; else as mproc_shared_memory_attach(). */
MPROC_API int mproc_shareable_list_attach(mproc_shareable_list **list, const char *name);

/* Its memory, to be asked for its name and to be owned; it stays the list's. NULL for NULL. */
MPROC_API mproc_shared_memory *mproc_shareable_list_memory(const mproc_shareable_list *list);

MPROC_API size_t mproc_shareable_list_length(const mproc_shareable_list *list);

/* An item, owned. An index below 0 counts from the end. MPROC_NOT_FOUND: there is no such index; MPROC_BROKEN:
 * something else was written over it; -ENOMEM. */
MPROC_API int mproc_shareable_list_get(const mproc_shareable_list *list, int64_t index, mproc_value *value);

/* MPROC_NOT_FOUND; MPROC_TOO_SMALL: the place is; -EINVAL: not such an item; MPROC_BROKEN. */
MPROC_API int mproc_shareable_list_set(mproc_shareable_list *list, int64_t index, mproc_value value);

/* All items, as a list value. */
MPROC_API int mproc_shareable_list_copy(const mproc_shareable_list *list, mproc_value *items);

/* The first item that is equal (MPROC_NOT_FOUND), and how many are. */
MPROC_API int mproc_shareable_list_index(const mproc_shareable_list *list, mproc_value value, size_t *index);
MPROC_API int mproc_shareable_list_count(const mproc_shareable_list *list, mproc_value value, size_t *count);

/* Give the handle up. Returns NULL; NULL is ignored. */
MPROC_API mproc_shareable_list *mproc_shareable_list_free(mproc_shareable_list *list);

#ifdef __cplusplus
}
#endif

#endif
