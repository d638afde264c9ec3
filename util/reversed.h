// Going through a container from its end: what std::views::reverse does, for compilers that cannot read
// libstdc++'s (clang 14).
#pragma once

namespace rhea {

/// `for (auto& x : reversed(container))`. Borrows the container.
template <class C>
class Reversed {
 public:
  explicit Reversed(C& container) : container_(container) {}
  auto begin() const { return container_.rbegin(); }
  auto end() const { return container_.rend(); }

 private:
  C& container_;
};

template <class C>
Reversed<C> reversed(C& container) {
  return Reversed<C>(container);
}

}  // namespace rhea
