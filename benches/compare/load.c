/* Clients of UDP servers on loopback, for `works.py`.
 *
 * load rate PORT CLIENTS WINDOW SIZE SECONDS
 *     Keeps WINDOW datagrams of each client in flight. Prints how many came back in this time, and how
 *     many clients have had an answer.
 * load rtt PORT COUNT
 *     Sends one datagram at a time. Prints the median round trip in nanoseconds.
 * load beats PORT PEERS RATE SECONDS
 *     Sends RATE heartbeats per second, in turns from as many loopback addresses as there are peers.
 *     Prints how many it has sent, and PEERS.
 *
 * The first and the last print "ready" after a warm-up in which each client or peer has its turn.
 * They wait for a line after each that they print.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 64, LONGEST = 2048, PATIENCE_MS = 200, WARM_UP_MS = 15000, TRIES = 3 };

static const long long MS = 1000000, SECOND = 1000000000;
static char payload[LONGEST], scratch[LONGEST];
static struct iovec out_vector, in_vector;
static struct mmsghdr out[BATCH], in[BATCH];

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
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

/* The message is one that sockperf's server answers: number, flags, length. Its zeros make a test
 * packet of STAMP, too: number 0, a time and an error estimate. */
static void prepare(uint32_t size)
{
    uint64_t number = htobe64(1);
    uint16_t flags = htobe16(3);
    uint32_t length = htobe32(size);
    memcpy(payload, &number, sizeof number);
    memcpy(payload + 8, &flags, sizeof flags);
    memcpy(payload + 10, &length, sizeof length);
    out_vector = (struct iovec){ payload, size };
    in_vector = (struct iovec){ scratch, LONGEST };
    for (int i = 0; i < BATCH; i++) {
        out[i].msg_hdr = (struct msghdr){ .msg_iov = &out_vector, .msg_iovlen = 1 };
        in[i].msg_hdr = (struct msghdr){ .msg_iov = &in_vector, .msg_iovlen = 1 };
    }
}

/* The caller reads its clocks. */
static void wait_for_a_line(void)
{
    char line[8];
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        exit(1);
}

struct client {
    int fd;
    long long heard_ns;
};

static struct client *open_clients(int count, int port, int poll)
{
    struct client *clients = calloc(count, sizeof *clients);
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
    return clients;
}

/* One client after the other asks, because some servers cannot open many sessions together. Returns
 * how many were answered. */
static int warm_up(struct client *clients, int count, int size)
{
    long long end = now_ns() + WARM_UP_MS * MS;
    int answered = 0;
    for (int i = 0; i < count && now_ns() < end; i++) {
        struct timeval patience = { .tv_usec = 20000 };
        setsockopt(clients[i].fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        int came = 0;
        for (int try = 0; try < TRIES && !came; try++) {
            send(clients[i].fd, payload, size, 0);
            came = recv(clients[i].fd, scratch, LONGEST, 0) > 0;
        }
        answered += came;
    }
    return answered;
}

static int rate(int port, int count, int window, int size, double seconds)
{
    struct epoll_event ready[BATCH];
    int poll = epoll_create1(0);
    struct client *clients = open_clients(count, port, poll);
    prepare(size);
    int answered = warm_up(clients, count, size);
    printf("ready\n");
    wait_for_a_line();
    long long came = 0, look = now_ns(), end = look + seconds * SECOND;
    while (now_ns() < end) {
        /* Whoever has lost its datagrams begins again; at the start, all do. */
        if (now_ns() >= look) {
            look = now_ns() + PATIENCE_MS * MS;
            for (int i = 0; i < count; i++)
                if (now_ns() - clients[i].heard_ns > PATIENCE_MS * MS) {
                    clients[i].heard_ns = now_ns();
                    sendmmsg(clients[i].fd, out, window, 0);
                }
        }
        int count_ready = epoll_wait(poll, ready, BATCH, 1);
        for (int i = 0; i < count_ready; i++) {
            struct client *client = &clients[ready[i].data.u32];
            int got = recvmmsg(client->fd, in, BATCH, MSG_DONTWAIT, NULL);
            if (got > 0) {
                came += got;
                client->heard_ns = now_ns();
                sendmmsg(client->fd, out, got, 0);
            }
        }
    }
    printf("%lld %d\n", came, answered);
    /* The clients stay until then: a refusal would end a process of socat. */
    wait_for_a_line();
    return 0;
}

static int by_value(const void *one, const void *other)
{
    long long a = *(const long long *)one, b = *(const long long *)other;
    return (a > b) - (a < b);
}

static int rtt(int port, int count)
{
    enum { SIZE = 64 };
    long long *times = calloc(count, sizeof *times);
    int fd = connected(port), taken = 0;
    struct timeval patience = { .tv_usec = 100000 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    prepare(SIZE);
    for (int i = 0; i < count; i++) {
        long long start = now_ns();
        send(fd, payload, SIZE, 0);
        if (recv(fd, scratch, LONGEST, 0) > 0)
            times[taken++] = now_ns() - start;
    }
    if (!taken)
        return 1;
    qsort(times, taken, sizeof *times, by_value);
    printf("%lld\n", times[taken / 2]);
    return 0;
}

struct sender {
    int fd, peers;
    double rate;
    struct sockaddr_in server;
    long long sent;
    char texts[BATCH][80];
    struct iovec vectors[BATCH];
    char control[BATCH][CMSG_SPACE(sizeof(struct in_pktinfo))];
};

/* Writes the next beat, from the loopback address of its peer, to place `i` of the batch. */
static void write_beat(struct sender *sender, int i)
{
    long long number = sender->sent + i;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int length = snprintf(sender->texts[i], sizeof sender->texts[i],
                          "Heartbeat;i=%.3f %lld %lld.%06ld",
                          1000 * sender->peers / sender->rate, number / sender->peers + 1,
                          (long long)now.tv_sec, now.tv_nsec / 1000);
    sender->vectors[i] = (struct iovec){ sender->texts[i], length };
    struct msghdr *header = &out[i].msg_hdr;
    *header = (struct msghdr){
        .msg_name = &sender->server,
        .msg_namelen = sizeof sender->server,
        .msg_iov = &sender->vectors[i],
        .msg_iovlen = 1,
        .msg_control = sender->control[i],
        .msg_controllen = sizeof sender->control[i],
    };
    struct in_pktinfo from = { .ipi_spec_dst.s_addr = htonl(0x7f010001 + number % sender->peers) };
    struct cmsghdr *control = CMSG_FIRSTHDR(header);
    control->cmsg_level = IPPROTO_IP;
    control->cmsg_type = IP_PKTINFO;
    control->cmsg_len = CMSG_LEN(sizeof from);
    memcpy(CMSG_DATA(control), &from, sizeof from);
}

static void send_beats(struct sender *sender, long long count)
{
    long long start = now_ns(), first = sender->sent;
    while (sender->sent < first + count) {
        long long due = start + (sender->sent - first) * SECOND / sender->rate;
        struct timespec until = { due / SECOND, due % SECOND };
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        for (int i = 0; i < BATCH; i++)
            write_beat(sender, i);
        int sent = sendmmsg(sender->fd, out, BATCH, 0);
        if (sent < 0)
            fail("sendmmsg");
        sender->sent += sent;
    }
}

static int beats(int port, int peers, double rate, double seconds)
{
    static struct sender sender;
    sender = (struct sender){ .peers = peers, .rate = rate, .server = loopback(port) };
    sender.fd = socket(AF_INET, SOCK_DGRAM, 0);
    send_beats(&sender, peers);
    printf("ready\n");
    wait_for_a_line();
    send_beats(&sender, rate * seconds);
    printf("%lld %d\n", sender.sent, peers);
    wait_for_a_line();
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 7 && !strcmp(argv[1], "rate"))
        return rate(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), atoi(argv[5]), atof(argv[6]));
    if (argc == 4 && !strcmp(argv[1], "rtt"))
        return rtt(atoi(argv[2]), atoi(argv[3]));
    if (argc == 6 && !strcmp(argv[1], "beats"))
        return beats(atoi(argv[2]), atoi(argv[3]), atof(argv[4]), atof(argv[5]));
    return 2;
}
