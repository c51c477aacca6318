"""Goldens of the wave recurrent network: loss and gradients by complex steps, in plain Python."""
C, N, T, D = 2, 4, 4, 2
X = [[1.0, 0.0], [0.0, 1.0], [0.5, -0.5], [0.0, 0.0]]
WX = [[0.3, -0.2], [0.1, 0.4], [-0.5, 0.2], [0.2, 0.1], [0.6, 0.3], [-0.1, 0.5], [0.25, -0.3], [0.4, 0.15]]  # [out][in]
BX = [0.1, -0.05, 0.2, 0.0, 0.05, 0.1, -0.1, 0.15]
K = [[[0.2, -0.1, 0.9], [0.1, 0.05, -0.2]], [[-0.3, 0.15, 0.1], [0.0, 0.2, 0.8]]]  # [out][in][tap]
B = [0.02, -0.03]
def relu(z): return z if complex(z).real > 0 else 0 * z
def loss(wx, bx, k, b):
    h = [[0.0] * N for _ in range(C)]
    total = 0
    for t in range(T):
        new = [[0] * N for _ in range(C)]
        for o in range(C):
            for n in range(N):
                z = bx[o * N + n] + sum(wx[o * N + n][d] * X[t][d] for d in range(D))
                if t > 0:
                    z = z + sum(k[o][c][j] * h[c][(n + j - 1) % N] for c in range(C) for j in range(3))
                # The bias of the convolution is there at every step.
                z = z + b[o]
                new[o][n] = relu(z)
        h = new
        total = total + (t + 1) * sum((o * N + n + 1) * h[o][n] for o in range(C) for n in range(N))
    return total
import copy
P = dict(wx=WX, bx=BX, k=K, b=B)
def walk(a, f, path=()):
    if isinstance(a, list):
        for i, v in enumerate(a): walk(v, f, path + (i,))
    else: f(path)
print("loss", "%.9f" % loss(WX, BX, K, B))
for name in P:
    out = {}
    def grad(path):
        q = copy.deepcopy(P); a = q[name]
        for i in path[:-1]: a = a[i]
        a[path[-1]] = a[path[-1]] + 1e-30j
        out[path] = loss(**q).imag / 1e-30
    walk(P[name], grad)
    if name == "k":
        print(name, ", ".join("%.9f" % out[(o, c, j)] for c in range(C) for j in range(3) for o in range(C)), "[in][tap][out]")
        print("values", ", ".join(str(K[o][c][j]) for c in range(C) for j in range(3) for o in range(C)))
    elif name == "wx":
        print(name, ", ".join("%.9f" % out[(o, d)] for d in range(D) for o in range(C * N)), "[in][out]")
        print("values", ", ".join(str(WX[o][d]) for d in range(D) for o in range(C * N)))
    else: print(name, ", ".join("%.9f" % v for v in out.values()))
