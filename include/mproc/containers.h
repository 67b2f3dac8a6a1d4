/* Shared containers: dict, list, set, namespace, variable and array, of values (<mproc/value.h>).
 *
 *     mproc_dict *ages;
 *     mproc_dict_create(&ages);
 *     mproc_process_start(&p, work, ages, NULL);          // the same pointer in every process of the family
 *     ...
 *     mproc_dict_set(ages, mproc_string("Ada"), mproc_int(36), MPROC_FOREVER);
 *     mproc_value age;
 *     if (mproc_dict_get(ages, mproc_string("Ada"), &age, MPROC_FOREVER) == 0)
 *         printf("%ld\n", (long)age.integer), mproc_value_free(&age);
 *     ages = mproc_dict_free(ages);
 *
 * A container lies in the family's shared memory: no server is in the way, and it lives until somebody frees it. Values
 * are copied in and out. A value may be an object (mproc_object_value()): containers are nested by their addresses, and
 * freeing the outer one leaves the inner ones.
 *
 * Each call is one operation: others see it whole or not at all, also when the process dies in it. Each that changes
 * something commits by one store; a death before leaves the old, after it the new. A call waits for the one that is at
 * the container at that moment, which is short unless that process is stopped; timeout bounds it.
 *
 * The address of a new container should go straight to shared memory: mproc_dict_create(&job->ages), with job from
 * mproc_alloc(). Then, whenever the process dies, the place has a whole container or NULL, and no memory is lost,
 * however large it is. Others leave the place alone until the call has returned or its process is dead. A container
 * whose address only one process has is lost to the family when that one dies; its memory stays taken.
 *
 * Freeing one that others still use is an error of the program; after it, -EINVAL is the answer as far as the library
 * can know. The _free functions wait for the one that is at the container, return NULL, and ignore what is
 * no such container. A death in one of them leaves the container for another to free, whole or empty; or it is gone.
 *
 * Every function returns 0; -EINVAL for NULL, for what is no such container, for a value that is none, for a key that
 * is a list or map, and for a timeout below -1; MPROC_TIMEOUT; -ENOMEM, and the container is as before; -errno when
 * this process can be no member of the family. What a function writes for the caller is an owned value.
 *
 * The same functions work on proxies of containers in a manager's server (<mproc/manager.h>), which may answer
 * MPROC_SERVER_DIED too. */
#ifndef MPROC_CONTAINERS_H
#define MPROC_CONTAINERS_H

#include <mproc/value.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mproc_dict mproc_dict;
typedef struct mproc_list mproc_list;
typedef struct mproc_set mproc_set;
typedef struct mproc_namespace mproc_namespace;
typedef struct mproc_variable mproc_variable;
typedef struct mproc_array mproc_array;

/* The type of an object: the tag of its value. */
enum mproc_type {
    MPROC_TYPE_DICT = 1,
    MPROC_TYPE_LIST,
    MPROC_TYPE_SET,
    MPROC_TYPE_NAMESPACE,
    MPROC_TYPE_VARIABLE,
    MPROC_TYPE_ARRAY
};

/* Any of the above as a value, to be put into another; and what type it is, 0 where it is none. The value's object is
 * the container again. Anything else as a value is no value, which no function takes. */
MPROC_API mproc_value mproc_object_value(void *object);
MPROC_API enum mproc_type mproc_object_type(const void *object);

/* Print any shared object and a newline to a descriptor: mproc_object_print(1, ages, MPROC_SEC(1)). To be read by
 * people; the text may change.
 *
 * A container, or a proxy of one, is printed as what is in it, as mproc_value_print() would; containers in it likewise,
 * 16 deep and 1000 in all. "..." stands for one beyond that, and for one that contains itself. Each is copied at a
 * moment of its own. An array is printed as its first 100 elements: those of 1, 2, 4 or 8 bytes as hexadecimal numbers,
 * others as up to 32 bytes; its lock is not taken. A queue is printed as its size, its bound and whether it is closed;
 * an object of <mproc/sync.h> as its state, a lock with the process that holds it; any other proxy as its address.
 *
 * -EINVAL: object is no shared object; what copying a container returns, as MPROC_TIMEOUT; -ENOMEM; the errors of
 * write(2). Then nothing was printed, or only a part of the line. */
MPROC_API int mproc_object_print(int fd, void *object, mproc_time timeout);

/* ---- dict: keys in the order in which they came ---- */

MPROC_API int mproc_dict_create(mproc_dict **dict);

/* A new one with what is in a value, in one call:
 *
 *     mproc_dict_create_of(&ages, mproc_dict_of(MPROC_PAIRS({mproc_string("Ada"), mproc_int(36)})));
 *     mproc_list_create_of(&primes, mproc_list_of(MPROC_ITEMS(mproc_int(2), mproc_int(3), mproc_int(5))));
 *
 * With an error there is none, and the pointer is NULL. A death in the middle may leave it empty. -EINVAL: map is no
 * map, or items no list; and what the create, update and extend functions return. */
MPROC_API int mproc_dict_create_of(mproc_dict **dict, mproc_value map);
MPROC_API mproc_dict *mproc_dict_free(mproc_dict *dict);

MPROC_API int mproc_dict_set(mproc_dict *dict, mproc_value key, mproc_value value, mproc_time timeout);

/* MPROC_NOT_FOUND, and *value is nil: there is no such key. value may be NULL, to ask for just that. */
MPROC_API int mproc_dict_get(mproc_dict *dict, mproc_value key, mproc_value *value, mproc_time timeout);

/* Remove a key; pop writes its value. MPROC_NOT_FOUND. popitem removes the last pair, and is MPROC_NOT_FOUND when there
 * is none. Of a server's dict, what is not to be held here for want of memory (-ENOMEM) is gone there. */
MPROC_API int mproc_dict_delete(mproc_dict *dict, mproc_value key, mproc_time timeout);
MPROC_API int mproc_dict_pop(mproc_dict *dict, mproc_value key, mproc_value *value, mproc_time timeout);
MPROC_API int mproc_dict_popitem(mproc_dict *dict, mproc_value *key, mproc_value *value, mproc_time timeout);

/* The value of the key, which is set to that value first when it is missing. */
MPROC_API int mproc_dict_setdefault(mproc_dict *dict, mproc_value key, mproc_value value, mproc_value *found,
                                    mproc_time timeout);

/* Set the key only if its value is expected (nil: missing). MPROC_NOT_FOUND: it was something else. */
MPROC_API int mproc_dict_replace(mproc_dict *dict, mproc_value key, mproc_value expected, mproc_value value,
                                 mproc_time timeout);

/* Add a number to the number that a key has, or to 0; *sum (may be NULL) is the result. -EINVAL: not numbers. -ERANGE:
 * it is no int64. */
MPROC_API int mproc_dict_add(mproc_dict *dict, mproc_value key, mproc_value number, mproc_value *sum,
                             mproc_time timeout);

/* Set each pair of a map, one after another: others may come in between, and after a failure the first are set. */
MPROC_API int mproc_dict_update(mproc_dict *dict, mproc_value map, mproc_time timeout);

MPROC_API int mproc_dict_clear(mproc_dict *dict, mproc_time timeout);
MPROC_API int mproc_dict_length(mproc_dict *dict, size_t *length, mproc_time timeout);

/* Snapshots, as a list, a list, a list of lists of two, and a map: for iteration that is safe while others write. */
MPROC_API int mproc_dict_keys(mproc_dict *dict, mproc_value *keys, mproc_time timeout);
MPROC_API int mproc_dict_values(mproc_dict *dict, mproc_value *values, mproc_time timeout);
MPROC_API int mproc_dict_items(mproc_dict *dict, mproc_value *items, mproc_time timeout);
MPROC_API int mproc_dict_copy(mproc_dict *dict, mproc_value *map, mproc_time timeout);

/* ---- list: an index below 0 counts from the end ---- */

MPROC_API int mproc_list_create(mproc_list **list);
MPROC_API int mproc_list_create_of(mproc_list **list, mproc_value items);
MPROC_API mproc_list *mproc_list_free(mproc_list *list);

/* MPROC_NOT_FOUND: there is no such index. */
MPROC_API int mproc_list_get(mproc_list *list, int64_t index, mproc_value *value, mproc_time timeout);
MPROC_API int mproc_list_set(mproc_list *list, int64_t index, mproc_value value, mproc_time timeout);
MPROC_API int mproc_list_delete(mproc_list *list, int64_t index, mproc_time timeout);
MPROC_API int mproc_list_pop(mproc_list *list, int64_t index, mproc_value *value, mproc_time timeout);

MPROC_API int mproc_list_append(mproc_list *list, mproc_value value, mproc_time timeout);

/* All items of a list value, in one operation. */
MPROC_API int mproc_list_extend(mproc_list *list, mproc_value items, mproc_time timeout);

/* Before that index; an index beyond either end is that end. */
MPROC_API int mproc_list_insert(mproc_list *list, int64_t index, mproc_value value, mproc_time timeout);

/* The first that is equal: MPROC_NOT_FOUND. */
MPROC_API int mproc_list_remove(mproc_list *list, mproc_value value, mproc_time timeout);
MPROC_API int mproc_list_index(mproc_list *list, mproc_value value, size_t *index, mproc_time timeout);
MPROC_API int mproc_list_count(mproc_list *list, mproc_value value, size_t *count, mproc_time timeout);

MPROC_API int mproc_list_reverse(mproc_list *list, mproc_time timeout);

/* By mproc_value_order(), stable. -EINVAL where two have no order: nothing has changed then. */
MPROC_API int mproc_list_sort(mproc_list *list, bool descending, mproc_time timeout);
MPROC_API int mproc_list_clear(mproc_list *list, mproc_time timeout);
MPROC_API int mproc_list_length(mproc_list *list, size_t *length, mproc_time timeout);

/* Python's slices list[start:stop:step]. A bound that is left out is MPROC_SLICE_OPEN; a step of 0 is -EINVAL. To set
 * one with a step other than 1, items must be as many as there are places: else -EINVAL. */
#define MPROC_SLICE_OPEN INT64_MIN
MPROC_API int mproc_list_get_slice(mproc_list *list, int64_t start, int64_t stop, int64_t step, mproc_value *items,
                                   mproc_time timeout);
MPROC_API int mproc_list_set_slice(mproc_list *list, int64_t start, int64_t stop, int64_t step, mproc_value items,
                                   mproc_time timeout);
MPROC_API int mproc_list_delete_slice(mproc_list *list, int64_t start, int64_t stop, int64_t step, mproc_time timeout);

/* A snapshot, as a list value. */
MPROC_API int mproc_list_copy(mproc_list *list, mproc_value *items, mproc_time timeout);

/* ---- set: in the order in which they came ---- */

MPROC_API int mproc_set_create(mproc_set **set);
MPROC_API int mproc_set_create_of(mproc_set **set, mproc_value items);
MPROC_API mproc_set *mproc_set_free(mproc_set *set);
MPROC_API int mproc_set_add(mproc_set *set, mproc_value item, mproc_time timeout);

/* MPROC_NOT_FOUND: it is not in it. discard does not mind. */
MPROC_API int mproc_set_contains(mproc_set *set, mproc_value item, mproc_time timeout);
MPROC_API int mproc_set_remove(mproc_set *set, mproc_value item, mproc_time timeout);
MPROC_API int mproc_set_discard(mproc_set *set, mproc_value item, mproc_time timeout);

/* Remove one, the last, and write it. */
MPROC_API int mproc_set_pop(mproc_set *set, mproc_value *item, mproc_time timeout);

/* Add all items of a list value, one after another, as mproc_dict_update() does. */
MPROC_API int mproc_set_update(mproc_set *set, mproc_value items, mproc_time timeout);
MPROC_API int mproc_set_clear(mproc_set *set, mproc_time timeout);
MPROC_API int mproc_set_length(mproc_set *set, size_t *length, mproc_time timeout);
MPROC_API int mproc_set_copy(mproc_set *set, mproc_value *items, mproc_time timeout);

/* ---- namespace: values by name ---- */

MPROC_API int mproc_namespace_create(mproc_namespace **names);
MPROC_API mproc_namespace *mproc_namespace_free(mproc_namespace *names);
MPROC_API int mproc_namespace_set(mproc_namespace *names, const char *name, mproc_value value, mproc_time timeout);
MPROC_API int mproc_namespace_get(mproc_namespace *names, const char *name, mproc_value *value, mproc_time timeout);
MPROC_API int mproc_namespace_delete(mproc_namespace *names, const char *name, mproc_time timeout);
MPROC_API int mproc_namespace_copy(mproc_namespace *names, mproc_value *map, mproc_time timeout);

/* ---- variable: one value; Python's Manager().Value ---- */

MPROC_API int mproc_variable_create(mproc_variable **variable, mproc_value value);
MPROC_API mproc_variable *mproc_variable_free(mproc_variable *variable);
MPROC_API int mproc_variable_set(mproc_variable *variable, mproc_value value, mproc_time timeout);
MPROC_API int mproc_variable_get(mproc_variable *variable, mproc_value *value, mproc_time timeout);

/* ---- array: count elements of a size, with a lock ---- */

/* All zero. -EINVAL for a count or size of 0; -ENOMEM. The functions below that have no result say 0 or NULL of what is
 * no array. */
MPROC_API int mproc_array_create(mproc_array **array, size_t count, size_t element_size);
MPROC_API mproc_array *mproc_array_free(mproc_array *array);
MPROC_API size_t mproc_array_count(const mproc_array *array);
MPROC_API size_t mproc_array_element_size(const mproc_array *array);

/* The elements themselves, aligned to 64 bytes, to be used in place by any process of the family; NULL for a proxy.
 * Whoever writes while others look holds the lock, which is an mproc_rlock: mproc_array_lock() is 0, or
 * MPROC_OWNER_DIED when its last holder died and the elements may be half written, or MPROC_TIMEOUT. A proxy's array
 * cannot be locked: -EINVAL. */
MPROC_API void *mproc_array_data(mproc_array *array);
MPROC_API int mproc_array_lock(mproc_array *array, mproc_time timeout);
MPROC_API int mproc_array_unlock(mproc_array *array);

/* Copy so many elements from index on, out and in, with the lock held meanwhile, also by one that holds it already.
 * MPROC_NOT_FOUND: beyond the end. MPROC_OWNER_DIED: it is done, and the lock's last holder died, as above. A writer
 * that dies may leave some old and some new ones, each whole as the processor writes it. MPROC_BROKEN: a server has
 * sent something else than what was asked for; nothing was written. */
MPROC_API int mproc_array_read(mproc_array *array, size_t index, size_t count, void *elements, mproc_time timeout);
MPROC_API int mproc_array_write(mproc_array *array, size_t index, size_t count, const void *elements,
                                mproc_time timeout);

#ifdef __cplusplus
}
#endif

#endif
