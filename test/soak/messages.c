/* Producers and consumers, and the books of their messages. Every message carries its producer's seat, a number and a
 * checksum. A producer says which number it is about to put and, when the put has returned, that it has; a consumer
 * notes each number that it got in a bitmap. So at the end
 *
 *     a number whose put returned has its bit, or a consumer that died had it in hand: as many as one get can give
 *     a number whose producer died in the put may have its bit or not; of a put_many all have it or none
 *     no number has it twice, and no number that was not begun comes
 *     what a get gives is newer than all that was noted of that producer before the get began
 */
#include "soak.h"
#include <mproc/queue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOUND     64
#define BACKLOG   2000 /* producers of the queue without a bound rest when it holds so many */
#define BATCH     8
#define LARGEST   12000
#define NUMBERS   ((uint64_t)1 << 31) /* of one producer */
#define MOST_LOST ((uint64_t)1 << 22)

struct message {
    uint32_t producer;
    uint32_t size; /* of all of it */
    uint64_t number;
    uint64_t sum; /* of the rest and of these */
    unsigned char fill[];
};

/* Numbers from first to last of one producer, which died while it put them. */
struct doubt {
    uint32_t producer;
    uint64_t first, last;
};

/* The keeper's, but for the bits, which the consumers set. */
static struct {
    mproc_queue *queue[QUEUES];
    _Atomic(uint64_t) *noted[PRODUCERS];
    struct doubt *doubts; /* in the order of the deaths, so those of a producer are in the order of their numbers */
    size_t doubt_count;
    struct message_figures figures;
} books;

static mproc_queue *queue_of(const struct seat *seat)
{
    return books.queue[seat->number % QUEUES];
}

static struct seat *producer_seat(unsigned number)
{
    return &world->seats[number];
}

struct message_figures message_figures(void)
{
    return books.figures;
}

static void open_producers(void)
{
    if (mproc_queue_create(&books.queue[0], NULL) ||
        mproc_queue_create(&books.queue[1], &(mproc_queue_options){.maxsize = BOUND})) {
        fprintf(stderr, "mproc_queue_create\n");
        exit(2);
    }
    for (unsigned i = 0; i < PRODUCERS; i++)
        books.noted[i] = book_pages(NUMBERS / 8);
    books.doubts = book_pages(MOST_LOST * sizeof *books.doubts);
}

void messages_finish(void)
{
    for (unsigned i = 0; i < QUEUES; i++)
        mproc_queue_close(books.queue[i]);
}

/* ---- messages ---- */

static size_t size_of(uint32_t producer, uint64_t number)
{
    uint64_t random = mix(number << 8 | producer);
    size_t range = random % 100 < 85 ? 160 : random % 100 < 99 ? 1500 : LARGEST - 100;
    return sizeof(struct message) + (random >> 32) % range;
}

static uint64_t checksum(const struct message *message)
{
    uint64_t sum = mix(message->number << 8 | message->producer) + message->size;
    size_t length = message->size - sizeof *message;
    size_t at = 0;
    for (; at + sizeof(uint64_t) <= length; at += sizeof(uint64_t)) {
        uint64_t part;
        memcpy(&part, message->fill + at, sizeof part);
        sum = (sum << 7 | sum >> 57) * 3 + part;
    }
    for (; at < length; at++)
        sum = (sum << 7 | sum >> 57) * 3 + message->fill[at];
    return sum;
}

static size_t write_message(struct message *message, uint32_t producer, uint64_t number)
{
    size_t size = size_of(producer, number);
    *message = (struct message){.producer = producer, .size = (uint32_t)size, .number = number};
    memset(message->fill, (int)(number % 251), size - sizeof *message);
    message->sum = checksum(message);
    if (lies(LIE_TORN))
        ((unsigned char *)message)[size - 1] ^= 1;
    return size;
}

/* ---- producers ---- */

static _Alignas(16) unsigned char space[BATCH * LARGEST];

/* Put one message, waiting in one way or the other. */
static int put_one(mproc_queue *queue, uint32_t producer, uint64_t number)
{
    struct message *message = (struct message *)(void *)space;
    size_t size = write_message(message, producer, number);
    if (!one_in(4))
        return mproc_queue_put(queue, message, size, MPROC_FOREVER);
    int result;
    do {
        result = mproc_queue_put(queue, message, size, MPROC_US(random_below(300)));
    } while (result == MPROC_TIMEOUT);
    return result;
}

static int put_in_place(mproc_queue *queue, uint32_t producer, uint64_t number)
{
    void *place;
    size_t size = size_of(producer, number);
    int result = mproc_queue_reserve(queue, &place, size, MPROC_FOREVER);
    if (!result && one_in(4)) {
        result = mproc_queue_abandon(queue);
        if (!result)
            result = mproc_queue_reserve(queue, &place, size + 100, MPROC_FOREVER);
    }
    if (result)
        return result;
    write_message(place, producer, number);
    return mproc_queue_commit(queue, size);
}

static int put_batch(mproc_queue *queue, uint32_t producer, uint64_t first, size_t count)
{
    mproc_message messages[BATCH];
    bool reversed = lies(LIE_ORDER);
    for (size_t i = 0; i < count; i++) {
        messages[i].data = space + i * LARGEST;
        messages[i].size = write_message(messages[i].data, producer, first + (reversed ? count - 1 - i : i));
    }
    return mproc_queue_put_many(queue, messages, count, MPROC_FOREVER);
}

static void put_some(struct seat *seat)
{
    mproc_queue *queue = queue_of(seat);
    uint64_t first = atomic_load(&seat->begun) + 1;
    uint64_t way = random_below(10);
    size_t count = way < 2 ? 2 + random_below(BATCH - 1) : 1;
    int result = 0;
    begin(seat, SUBJECT_PUT + seat->number % QUEUES, way < 2 ? "puts many" : way < 4 ? "reserves" : "puts");
    atomic_store(&seat->begun, first + count - 1);
    if (way < 2)
        result = put_batch(queue, seat->number, first, count);
    else if (way < 4)
        result = put_in_place(queue, seat->number, first);
    else
        result = put_one(queue, seat->number, first);
    if (result)
        wrong("a put (%s) returned %d", atomic_load(&seat->doing), result);
    atomic_store(&seat->returned, first + count - 1);
    progress(SUBJECT_PUT + seat->number % QUEUES);
}

static void produce(struct seat *seat)
{
    while (!atomic_load(&world->ending)) {
        if (mproc_queue_size(queue_of(seat)) < BACKLOG) {
            put_some(seat);
            continue;
        }
        begin(seat, SUBJECT_PUT + seat->number % QUEUES, "rests");
        progress(SUBJECT_PUT + seat->number % QUEUES);
        nap_us(200);
    }
}

/* Whether what it was at is done cannot be known. The next life goes on with the next number. */
static void settle_producer(struct seat *seat)
{
    uint64_t begun = atomic_load(&seat->begun);
    uint64_t returned = atomic_load(&seat->returned);
    if (begun == returned)
        return;
    if (books.doubt_count == MOST_LOST) {
        wrong("too many deaths for the books");
        return;
    }
    books.doubts[books.doubt_count++] = (struct doubt){seat->number, returned + 1, begun};
    books.figures.in_doubt += begun - returned;
    atomic_store(&seat->returned, begun);
}

/* ---- consumers ---- */

/* What was noted of each producer before the get began, and by this life. */
static uint64_t newest[PRODUCERS];

static void look_at_newest(void)
{
    for (unsigned i = 0; i < PRODUCERS; i++) {
        uint64_t noted = atomic_load(&producer_seat(i)->newest);
        newest[i] = noted > newest[i] ? noted : newest[i];
    }
}

static void note_newest(struct seat *producer, uint64_t number)
{
    uint64_t noted = atomic_load(&producer->newest);
    while (number > noted && !atomic_compare_exchange_weak(&producer->newest, &noted, number)) {
    }
}

/* What is wrong with the message as such; NULL when nothing is. */
static const char *fault_of(const struct message *message, size_t size)
{
    if (size < sizeof *message || message->size != size)
        return "has a wrong size";
    if (message->producer >= PRODUCERS)
        return "has no producer";
    return checksum(message) == message->sum ? NULL : "is torn";
}

static void note(const struct seat *seat, const struct message *message, size_t size)
{
    const char *fault = fault_of(message, size);
    if (fault) {
        wrong("a message of %zu bytes in queue %u %s", size, seat->number % QUEUES, fault);
        return;
    }
    uint32_t producer = message->producer;
    uint64_t number = message->number;
    uint64_t begun = atomic_load(&producer_seat(producer)->begun);
    if (number == 0 || number > begun || producer % QUEUES != seat->number % QUEUES) {
        wrong("message %u/%llu was got and never put", producer, (unsigned long long)number);
        return;
    }
    if (number <= newest[producer])
        wrong("message %u/%llu came after %llu", producer, (unsigned long long)number,
              (unsigned long long)newest[producer]);
    newest[producer] = number;
    if (lies(LIE_DROP))
        return;
    uint64_t bit = UINT64_C(1) << number % 64;
    if (atomic_fetch_or(&books.noted[producer][number / 64], bit) & bit)
        wrong("message %u/%llu was got twice", producer, (unsigned long long)number);
    if (lies(LIE_TWICE))
        note(seat, message, size);
    note_newest(producer_seat(producer), number);
}

static int get_one(struct seat *seat, mproc_time timeout)
{
    size_t size;
    atomic_store(&seat->in_hand, 1);
    int result = mproc_queue_get(queue_of(seat), space, LARGEST, &size, timeout);
    if (!result)
        note(seat, (struct message *)(void *)space, size);
    return result;
}

static int get_in_place(struct seat *seat, mproc_time timeout)
{
    const void *data;
    size_t size;
    int result = mproc_queue_peek(queue_of(seat), &data, &size, timeout);
    if (result)
        return result;
    if (one_in(4))
        return mproc_queue_release(queue_of(seat), false);
    memcpy(space, data, size < LARGEST ? size : LARGEST);
    atomic_store(&seat->in_hand, 1);
    result = mproc_queue_release(queue_of(seat), true);
    if (!result)
        note(seat, (struct message *)(void *)space, size);
    return result;
}

static int get_batch(struct seat *seat, mproc_time timeout)
{
    mproc_message messages[BATCH];
    size_t got = 0;
    for (size_t i = 0; i < BATCH; i++)
        messages[i] = (mproc_message){.data = space + i * LARGEST, .size = LARGEST};
    atomic_store(&seat->in_hand, BATCH);
    int result = mproc_queue_get_many(queue_of(seat), messages, BATCH, &got, timeout);
    if (result)
        return result;
    atomic_store(&seat->in_hand, (unsigned)got);
    for (size_t i = 0; i < got; i++) {
        note(seat, messages[i].data, messages[i].size);
        atomic_fetch_sub(&seat->in_hand, 1);
    }
    return 0;
}

static void consume(struct seat *seat)
{
    int result = 0;
    memset(newest, 0, sizeof newest);
    while (result != MPROC_CLOSED) {
        uint64_t way = random_below(10);
        mproc_time timeout = one_in(4) ? MPROC_US(random_below(300)) : MPROC_FOREVER;
        begin(seat, SUBJECT_GET + seat->number % QUEUES, way < 4 ? "gets many" : way < 6 ? "peeks" : "gets");
        look_at_newest();
        result = way < 4 ? get_batch(seat, timeout) : way < 6 ? get_in_place(seat, timeout) : get_one(seat, timeout);
        atomic_store(&seat->in_hand, 0);
        if (result == 0)
            progress(SUBJECT_GET + seat->number % QUEUES);
        else if (result != MPROC_TIMEOUT && result != MPROC_CLOSED)
            wrong("a get (%s) returned %d", atomic_load(&seat->doing), result);
    }
}

static void settle_consumer(struct seat *seat)
{
    books.figures.may_lose += atomic_exchange(&seat->in_hand, 0);
}

/* ---- the audit ---- */

static bool is_noted(uint32_t producer, uint64_t number)
{
    return atomic_load(&books.noted[producer][number / 64]) >> number % 64 & 1;
}

/* Messages that are missing although their put returned, with those of a put_many of which others are there. */
static void miss(uint32_t producer, uint64_t number)
{
    books.figures.lost++;
    if (books.figures.lost == books.figures.may_lose + 1)
        wrong("message %u/%llu is lost, and more than consumers can have had in hand when they died", producer,
              (unsigned long long)number);
}

static void audit_doubt(const struct doubt *doubt)
{
    uint64_t there = 0;
    for (uint64_t number = doubt->first; number <= doubt->last; number++)
        there += is_noted(doubt->producer, number);
    books.figures.in_doubt_there += there;
    for (uint64_t number = doubt->first; there && number <= doubt->last; number++) {
        if (!is_noted(doubt->producer, number))
            miss(doubt->producer, number);
    }
}

/* Where the numbers from this one on are in doubt, the doubt; NULL when they are not. */
static const struct doubt *next_doubt(uint32_t producer, uint64_t number, size_t *at)
{
    while (*at < books.doubt_count && (books.doubts[*at].producer != producer || books.doubts[*at].last < number))
        ++*at;
    return *at < books.doubt_count && books.doubts[*at].first <= number ? &books.doubts[*at] : NULL;
}

static void audit_producer(uint32_t producer)
{
    uint64_t begun = atomic_load(&producer_seat(producer)->begun);
    size_t at = 0;
    for (uint64_t number = 1; number <= begun; number++) {
        const struct doubt *doubt = next_doubt(producer, number, &at);
        if (doubt) {
            audit_doubt(doubt);
            number = doubt->last;
        } else if (is_noted(producer, number)) {
            books.figures.got++;
        } else {
            miss(producer, number);
        }
    }
    books.figures.put += begun;
    if (is_noted(producer, begun + 1))
        wrong("message %u/%llu was got and never put", producer, (unsigned long long)begun + 1);
}

static void close_queues(void)
{
    for (uint32_t i = 0; i < PRODUCERS; i++)
        audit_producer(i);
    books.figures.got += books.figures.in_doubt_there;
    for (unsigned i = 0; i < QUEUES; i++) {
        size_t left = mproc_queue_size(books.queue[i]);
        if (left)
            wrong("queue %u says that it holds %zu messages, and gives none", i, left);
        books.queue[i] = mproc_queue_free(books.queue[i]);
    }
}

const struct trade producers = {"producers", PRODUCERS, open_producers, produce, settle_producer, close_queues};
const struct trade consumers = {"consumers", CONSUMERS, NULL, consume, settle_consumer, NULL};
