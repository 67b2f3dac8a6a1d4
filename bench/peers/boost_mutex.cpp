/* An interprocess_mutex of Boost: see locks.h. */
#include "../locks.h"

#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <new>

using boost::interprocess::interprocess_mutex;

static void *open_lock()
{
    return new (shared_pages(sizeof(interprocess_mutex))) interprocess_mutex;
}

/* Both throw when they fail. */
static void acquire(void *mutex)
{
    static_cast<interprocess_mutex *>(mutex)->lock();
}

static void release(void *mutex)
{
    static_cast<interprocess_mutex *>(mutex)->unlock();
}

int main(int argc, char **argv)
{
    static const struct lock_kind kind = {open_lock, acquire, release};

    return measure_lock(argc, argv, &kind);
}
