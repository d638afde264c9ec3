// Boot entry of the test guest. An El Torito "no emulation" loader puts the image at 7C00h in real mode.
    .code16
    .section .text.start, "ax"
    .globl _start
_start:
    ljmp $0, $1f
1:  cli
    cld
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7000, %sp
    inb $0x92, %al              // A20 through system control port A
    orb $2, %al
    andb $0xfe, %al
    outb %al, $0x92
    lgdtl gdt_pointer
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $0x08, $protected

    .code32
protected:
    movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw %ax, %fs
    movw %ax, %gs
    movl $0x70000, %esp
    movl $bss_start, %edi
    movl $bss_end, %ecx
    subl %edi, %ecx
    xorl %eax, %eax
    rep stosb
    call guest_main
2:  cli
    hlt
    jmp 2b

    .align 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff    // 08h: flat 32-bit code
    .quad 0x00cf93000000ffff    // 10h: flat data
gdt_pointer:
    .word . - gdt - 1
    .long gdt

// One stub per vector, 8 bytes apart: push the vector, go on in interrupt_common.
    .globl interrupt_stubs
    .align 8
interrupt_stubs:
    .set vector, 0
    .rept 256
    .align 16
    pushl $vector
    jmp interrupt_common
    .set vector, vector + 1
    .endr

interrupt_common:
    pushal
    cld
    pushl 32(%esp)              // the vector
    call interrupt
    addl $4, %esp
    popal
    addl $4, %esp
    pushl 8(%esp)               // EIP, CS, EFLAGS: returned from without IRET, which hosts that run guests
    popfl                       // on KVM's instruction emulator cannot do in protected mode
    ret $8

// What an application processor runs after SIPI, copied to a page below 1 MiB: count itself and halt.
    .globl ap_code, ap_code_end
    .code16
ap_code:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    lock incw 0x5ff0
3:  hlt
    jmp 3b
ap_code_end:
