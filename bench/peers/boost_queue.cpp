/* Messages per second through a message_queue of Boost.Interprocess, with room for 1024 small messages or 16 MiB of
 * large ones: see messages.h. */
#include "../messages.h"

#include <algorithm>
#include <boost/interprocess/ipc/message_queue.hpp>
#include <string>

using boost::interprocess::create_only;
using boost::interprocess::message_queue;

/* The name is gone again before the first message; the mapping is inherited. */
static void *open_queue(size_t size)
{
    std::string name = "mproc-bench-" + std::to_string(getpid());
    size_t depth = std::clamp<size_t>((16 << 20) / size, 4, 1024);
    message_queue *queue = new message_queue(create_only, name.c_str(), depth, size);

    must(message_queue::remove(name.c_str()), "message_queue::remove");
    return queue;
}

/* Both throw when they fail. */
static void put(void *channel, const void *message, size_t size)
{
    static_cast<message_queue *>(channel)->send(message, size, 0);
}

static void get(void *channel, void *message, size_t size)
{
    message_queue::size_type received;
    unsigned priority;

    static_cast<message_queue *>(channel)->receive(message, size, received, priority);
    must(received == size, "message_queue::receive");
}

int main(int argc, char **argv)
{
    static const struct channel kind = {open_queue, put, get, NULL};

    return measure_messages(argc, argv, &kind);
}
