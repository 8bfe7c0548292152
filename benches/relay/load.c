/* The ends of a relayed path, on loopback, for relay.py.
 *
 * load echo
 *     Returns datagrams to their senders. Prints its port.
 * load rate PORT CLIENTS WINDOW SECONDS
 *     Keeps WINDOW datagrams of each client in flight. Prints "ready" once each has had an answer, or
 *     after WARM_UP_MS, and then, SECONDS later, how many came back in this time and how many times a
 *     client began again because none had come for a while.
 * load rtt PORT COUNT
 *     Sends one datagram at a time. Prints the median round trip in nanoseconds.
 * load open PORT CLIENTS
 *     Each client sends one datagram and gets it back, again with each line of input. Prints how many
 *     did.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

enum { SIZE = 64, BATCH = 64, PATIENCE_MS = 200, WARM_UP_MS = 3000 };

static const long long MS = 1000000;
static char payloads[BATCH][SIZE];
static struct sockaddr_in senders[BATCH];
static struct iovec vectors[BATCH];
static struct mmsghdr messages[BATCH];

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static int connected(int port)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
        fail("connect");
    return fd;
}

/* With `addressed`, received datagrams have their sources. */
static void prepare(int addressed)
{
    for (int i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){ payloads[i], SIZE };
        messages[i].msg_hdr = (struct msghdr){ .msg_iov = &vectors[i], .msg_iovlen = 1 };
        if (addressed) {
            messages[i].msg_hdr.msg_name = &senders[i];
            messages[i].msg_hdr.msg_namelen = sizeof senders[i];
        }
    }
}

static void echo(void)
{
    struct sockaddr_in own = loopback(0);
    socklen_t length = sizeof own;
    int fd = socket(AF_INET, SOCK_DGRAM, 0), room = 1 << 22;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    if (bind(fd, (struct sockaddr *)&own, length) ||
        getsockname(fd, (struct sockaddr *)&own, &length))
        fail("bind");
    printf("%d\n", ntohs(own.sin_port));
    fflush(stdout);
    prepare(1);
    for (;;) {
        int got = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
        for (int sent = 0; sent < got;) {
            int more = sendmmsg(fd, messages + sent, got - sent, 0);
            sent += more > 0 ? more : 1;
        }
    }
}

struct client {
    int fd;
    long long heard_ns;
    int answered;
};

static int open_clients(struct client *clients, int count, int port, int poll)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    for (int i = 0; i < count; i++) {
        clients[i].fd = connected(port);
        struct epoll_event event = { .events = EPOLLIN, .data.u32 = i };
        if (epoll_ctl(poll, EPOLL_CTL_ADD, clients[i].fd, &event))
            fail("epoll_ctl");
    }
    return count;
}

static int rate(int port, int count, int window, double seconds)
{
    struct client *clients = calloc(count, sizeof *clients);
    struct epoll_event ready[BATCH];
    int poll = epoll_create1(0);
    long long came = 0, again = 0;
    int answered = 0, warm = 0;
    open_clients(clients, count, port, poll);
    prepare(0);
    long long look = now_ns(), end = look + WARM_UP_MS * MS;
    for (;;) {
        if (now_ns() >= end || (!warm && answered == count)) {
            if (warm)
                break;
            printf("ready\n");
            fflush(stdout);
            warm = 1;
            came = again = 0;
            end = now_ns() + seconds * 1e9;
        }
        /* Whoever has lost its datagrams begins again; at the start, all do. */
        if (now_ns() >= look) {
            look = now_ns() + PATIENCE_MS * MS;
            for (int i = 0; i < count; i++)
                if (now_ns() - clients[i].heard_ns > PATIENCE_MS * MS) {
                    again += clients[i].heard_ns > 0;
                    clients[i].heard_ns = now_ns();
                    sendmmsg(clients[i].fd, messages, window, 0);
                }
        }
        int count_ready = epoll_wait(poll, ready, BATCH, 1);
        for (int i = 0; i < count_ready; i++) {
            struct client *client = &clients[ready[i].data.u32];
            int got = recvmmsg(client->fd, messages, BATCH, MSG_DONTWAIT, NULL);
            if (got > 0) {
                came += got;
                answered += !client->answered;
                client->answered = 1;
                client->heard_ns = now_ns();
                sendmmsg(client->fd, messages, got, 0);
            }
        }
    }
    printf("%lld %lld\n", came, again);
    return 0;
}

static int by_value(const void *one, const void *other)
{
    long long a = *(const long long *)one, b = *(const long long *)other;
    return (a > b) - (a < b);
}

static int rtt(int port, int count)
{
    long long *times = calloc(count, sizeof *times);
    int fd = connected(port), taken = 0;
    struct timeval patience = { .tv_usec = 100000 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    /* A relay may not be ready yet. */
    for (int i = 0; i < 50; i++) {
        send(fd, payloads[0], SIZE, 0);
        if (recv(fd, payloads[0], SIZE, 0) > 0)
            break;
        nanosleep(&(struct timespec){ .tv_nsec = 20 * MS }, NULL);
    }
    for (int i = 0; i < count; i++) {
        long long start = now_ns();
        send(fd, payloads[0], SIZE, 0);
        if (recv(fd, payloads[0], SIZE, 0) > 0)
            times[taken++] = now_ns() - start;
    }
    if (!taken)
        return 1;
    qsort(times, taken, sizeof *times, by_value);
    printf("%lld\n", times[taken / 2]);
    return 0;
}

static int open_all(int port, int count)
{
    struct client *clients = calloc(count, sizeof *clients);
    struct timeval patience = { .tv_sec = 1 };
    char line[8];
    open_clients(clients, count, port, epoll_create1(0));
    do {
        int came = 0;
        for (int i = 0; i < count; i++) {
            setsockopt(clients[i].fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
            send(clients[i].fd, payloads[0], SIZE, 0);
            came += recv(clients[i].fd, payloads[0], SIZE, 0) > 0;
        }
        printf("%d\n", came);
        fflush(stdout);
    } while (fgets(line, sizeof line, stdin));
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "echo"))
        echo();
    if (argc == 6 && !strcmp(argv[1], "rate"))
        return rate(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), atof(argv[5]));
    if (argc == 4 && !strcmp(argv[1], "rtt"))
        return rtt(atoi(argv[2]), atoi(argv[3]));
    if (argc == 4 && !strcmp(argv[1], "open"))
        return open_all(atoi(argv[2]), atoi(argv[3]));
    return 2;
}
