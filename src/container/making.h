/* Objects that are being made: a process that dies while it makes one leaves nothing.
 *
 * Invariant: an object that is being made is named by a cell of its maker's ledger; one that is made is its user's.
 * Commit: where the user's place for its address lies in the arena, the store of the address there, which comes after
 * the object's stamp; else the store that empties the cell, just before the address is returned.
 * Recovery: the sweep looks whether the place holds the address. It held 0 when the making began, so if it does the
 * object is its user's, and the cell is emptied; if not the object is freed with what it has taken for itself, as the
 * cell says. Each step can be done again.
 *
 * Nobody else may change the place before the call that makes the object has returned, or its process is dead. */
#ifndef MPROC_CONTAINER_MAKING_H
#define MPROC_CONTAINER_MAKING_H

#include "container/container.h"

struct making; /* a cell of the ledger */

/* Take memory for an object, all zero. *place, where its address will go, becomes NULL. 0, -ENOMEM, -errno; there is no
 * making then. */
int making_begin(size_t size, void **place, struct making **making, void **object);

/* The object is a container, which takes blocks from now on. */
void making_holds(struct making *making);

/* It is whole: give it to its user. */
void making_finish(struct making *making, const struct container_type *type, void **place);

/* It cannot be made: free what there is. */
void making_give_up(struct making *making);

#endif
