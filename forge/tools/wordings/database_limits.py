"""How people ask the built-in database for rows whose number is over, under, between or exactly what they say."""

from __future__ import annotations

# fmt: off
# (column, how it is compared): sentences
LIMIT_SENTENCES: dict[tuple[str, str], tuple[str, ...]] = {
    ("price", "<"): (
        "which products cost less than {n}?", "what costs less than {n}?", "products under {n}",
        "what products are cheaper than {n}?", "products cheaper than {n}", "everything under {n}",
        "which items are under {n} euros?", "show me products below {n}", "what do you have under {n}?",
        "what do we sell for less than {n}?", "list all products under {n} euros",
        "which of our products cost under {n}?", "anything cheaper than {n}?", "price below {n}, which products?",
        "is there something for less than {n} euros?", "i want to spend less than {n}, what is there?",
        "name the products with a price under {n}", "what articles have a price lower than {n}?",
        "things that cost less than {n}", "my budget is under {n}, which products fit?", "items for under {n}?",
        "find me something under {n}", "which products have a price below {n}?",
        "less than {n} euros, what can i get?"),
    ("price", ">"): (
        "which products cost more than {n}?", "what costs more than {n}?", "products over {n}",
        "what products are more expensive than {n}?", "products dearer than {n}", "everything over {n}",
        "which items are above {n} euros?", "show me products above {n}", "what do we sell for more than {n}?",
        "list all products over {n} euros", "which of our products cost over {n}?",
        "anything more expensive than {n}?", "price above {n}, which products?",
        "name the products with a price over {n}", "what articles have a price higher than {n}?",
        "things that cost more than {n}", "items for over {n}?", "which products have a price above {n}?",
        "i'm looking for something posh, what costs more than {n}?", "more than {n} euros, which products are that?"),
    ("price", "<="): (
        "what can i buy for {n}?", "what can i get for {n} euros?", "i have {n} euros, what can i buy?",
        "what can i afford with {n}?", "which products can i afford with {n}?",
        "with {n} euros, what can i buy here?", "which products cost at most {n}?", "products up to {n}",
        "products for {n} or less", "i only have {n}, what can i get?", "what do you have for up to {n} euros?",
        "what is there for {n} at most?", "which items cost no more than {n}?",
        "a gift for max {n}, what do you have?", "my limit is {n} euros, which products are possible?",
        "what products are there up to {n}?", "i can spend {n}, what can i choose from?",
        "something for {n} or cheaper?", "what could i buy with {n} in my pocket?"),
    ("price", ">="): (
        "which products cost at least {n}?", "products from {n} up", "products for {n} or more",
        "which items cost {n} or more?", "what costs at least {n}?", "products with a price of at least {n}",
        "what do we sell for {n} and up?", "list the products that cost {n} euros or more",
        "everything from {n} euros upwards", "show me products of {n} or more"),
    ("price", "="): (
        "which product costs {n}?", "what costs {n}?", "which item is {n} euros?", "what do we sell for {n} euros?",
        "what product has the price {n}?", "the product that costs {n}", "which product has a price of {n}?",
        "what costs exactly {n}?", "something cost {n}, which product was it?",
        "i paid {n} for it, which product is that?", "price {n}, which product?",
        "the price tag says {n}, what product is it?", "which of our products is {n}?"),
    ("stock", "<"): (
        "which products have fewer than {n} in stock?", "products with less than {n} in stock",
        "what do we have fewer than {n} of?", "stock under {n}", "which products are below {n} pieces?",
        "of which products are less than {n} left?", "stock below {n}, which products?",
        "list products with a stock under {n}", "what do we have less than {n} pieces of?",
        "i have to reorder everything under {n} pieces, which products?", "which items have a stock lower than {n}?",
        "products with fewer than {n} pieces", "less than {n} in the warehouse, which products?",
        "show me what has a stock below {n}", "what's low, under {n} pieces in stock?",
        "which articles are there fewer than {n} of?"),
    ("stock", ">"): (
        "which products have more than {n} in stock?", "products with more than {n} in stock",
        "what do we have more than {n} of?", "stock over {n}", "of which products are more than {n} left?",
        "stock above {n}, which products?", "list products with a stock over {n}",
        "what do we have more than {n} pieces of?", "which items have a stock higher than {n}?",
        "products with more than {n} pieces", "more than {n} in the warehouse, which products?",
        "show me what has a stock above {n}", "i need more than {n} pieces of something, what is there?",
        "which articles are there more than {n} of?"),
    ("salary", "<"): (
        "who earns less than {n}?", "which employees earn less than {n}?", "employees who earn under {n}",
        "who makes less than {n}?", "who is paid less than {n}?", "salary under {n}", "who has a salary below {n}?",
        "list the employees with less than {n}", "employees with a salary under {n}",
        "who gets less than {n} a month?", "which of our people make under {n}?", "salaries below {n}, who?",
        "who earns under {n} here?", "everyone with under {n} gets a raise, who is that?",
        "name the employees that are paid less than {n}", "whose salary is lower than {n}?",
        "staff on less than {n}?"),
    ("salary", ">"): (
        "who earns more than {n}?", "which employees earn more than {n}?", "employees who earn over {n}",
        "who makes more than {n}?", "who is paid more than {n}?", "salary over {n}", "who has a salary above {n}?",
        "list the employees with more than {n}", "employees with a salary over {n}",
        "who gets more than {n} a month?", "which of our people make over {n}?", "salaries above {n}, who?",
        "who earns over {n} here?", "name the employees that are paid more than {n}",
        "whose salary is higher than {n}?", "staff on more than {n}?", "who do we pay more than {n}?",
        "show me everybody who earns above {n}", "earning more than {n}, who is that?",
        "is there anyone who earns more than {n}?", "who takes home more than {n}?"),
    ("salary", "="): (
        "who earns {n}?", "who makes {n}?", "whose salary is {n}?", "which employee earns {n}?", "who is paid {n}?",
        "who has a salary of {n}?", "salary {n}, who is that?", "who gets exactly {n} a month?",
        "the employee who earns {n}", "somebody here earns {n}, who?",
        "i see {n} on the payroll, whose salary is that?"),
    ("orders", "<"): (
        "which customers have fewer than {n} orders?", "who ordered less than {n} times?",
        "customers with less than {n} orders", "who has fewer than {n} orders?", "customers with under {n} orders",
        "list customers with fewer than {n} orders", "who made less than {n} orders?",
        "which clients have under {n} orders?", "fewer than {n} orders, which customers?",
        "who placed fewer than {n} orders?", "orders below {n}, who?",
        "which customers ordered fewer than {n} times?", "show me all clients with less than {n} orders",
        "who hasn't ordered {n} times yet?"),
    ("orders", ">"): (
        "which customers have more than {n} orders?", "who ordered more than {n} times?",
        "customers with more than {n} orders", "who has more than {n} orders?", "customers with over {n} orders",
        "list customers with more than {n} orders", "who made more than {n} orders?",
        "which clients have over {n} orders?", "more than {n} orders, which customers?",
        "who placed more than {n} orders?", "orders above {n}, who?", "which customers ordered more than {n} times?",
        "show me all clients with more than {n} orders", "customers with over {n} orders get a gift, who is that?",
        "who bought from us more than {n} times?", "name the customers that have more than {n} orders",
        "whose number of orders is over {n}?"),
    ("orders", ">="): (
        "which customers have at least {n} orders?", "who ordered at least {n} times?",
        "customers with {n} or more orders", "who has at least {n} orders?", "customers with at least {n} orders",
        "who made {n} orders or more?", "which clients placed {n} or more orders?",
        "list customers with {n} orders or more"),
    ("orders", "="): (
        "who has {n} orders?", "which customer has {n} orders?", "who ordered {n} times?", "who made {n} orders?",
        "customer with {n} orders", "which customer ordered {n} times?", "who has exactly {n} orders?",
        "who placed {n} orders?", "{n} orders, which customer is that?"),
}
COUNT_LIMIT_SENTENCES: dict[tuple[str, str], tuple[str, ...]] = {
    ("price", "<"): (
        "how many products cost less than {n}?", "how many products are under {n}?", "number of products under {n}",
        "how many items are cheaper than {n}?", "how many of our products cost under {n} euros?",
        "count the products below {n}", "how many things can i get for less than {n}?",
        "how many products have a price below {n}?", "how many articles do we sell for less than {n}?",
        "products under {n}, how many?"),
    ("price", ">"): (
        "how many products cost more than {n}?", "how many products are over {n}?", "number of products over {n}",
        "how many items are more expensive than {n}?", "how many of our products cost over {n} euros?",
        "count the products above {n}", "how many products have a price above {n}?",
        "how many articles do we sell for more than {n}?", "products over {n}, how many?"),
    ("stock", "<"): (
        "how many products have fewer than {n} in stock?", "how many products have a stock under {n}?",
        "number of products with less than {n} in stock", "of how many products are there less than {n} pieces?",
        "count the products with a stock below {n}", "how many items are below {n} pieces?"),
    ("stock", ">"): (
        "how many products have more than {n} in stock?", "how many products have a stock over {n}?",
        "number of products with more than {n} in stock", "of how many products are there more than {n} pieces?",
        "count the products with a stock above {n}", "how many items are above {n} pieces?"),
    ("salary", "<"): (
        "how many employees earn less than {n}?", "how many people earn under {n}?",
        "number of employees who earn less than {n}", "how many of us make less than {n}?",
        "how many people are paid less than {n}?", "count the employees with a salary below {n}",
        "how many salaries are under {n}?", "how many workers get less than {n}?"),
    ("salary", ">"): (
        "how many employees earn more than {n}?", "how many people earn over {n}?",
        "number of employees who earn more than {n}", "how many of us make more than {n}?",
        "how many people are paid more than {n}?", "count the employees with a salary above {n}",
        "how many salaries are over {n}?", "how many workers get more than {n}?"),
    ("orders", "<"): (
        "how many customers have fewer than {n} orders?", "how many customers ordered less than {n} times?",
        "number of customers with less than {n} orders", "how many clients have under {n} orders?",
        "count the customers with fewer than {n} orders", "how many people ordered less than {n} times?"),
    ("orders", ">"): (
        "how many customers have more than {n} orders?", "how many customers ordered more than {n} times?",
        "number of customers with more than {n} orders", "how many clients have over {n} orders?",
        "count the customers with more than {n} orders", "how many people ordered more than {n} times?"),
}
BETWEEN_SENTENCES: dict[str, tuple[str, ...]] = {
    "price": (
        "which products cost between {n} and {m}?", "products between {n} and {m}",
        "what costs between {n} and {m} euros?", "products from {n} to {m} euros",
        "which items are between {n} and {m}?", "what do we have between {n} and {m}?",
        "show me products for {n} to {m}", "list products with a price from {n} to {m}",
        "i want to spend between {n} and {m}, what is there?", "price between {n} and {m}, which products?",
        "anything between {n} and {m} euros?", "a gift for {n} to {m} euros, what do you have?"),
    "salary": (
        "who earns between {n} and {m}?", "which employees earn between {n} and {m}?",
        "salaries between {n} and {m}, who?", "employees with a salary from {n} to {m}",
        "who makes {n} to {m} a month?", "who is paid between {n} and {m}?",
        "list the employees who earn between {n} and {m}", "whose salary is between {n} and {m}?"),
    "orders": (
        "which customers have between {n} and {m} orders?", "who has between {n} and {m} orders?",
        "customers with {n} to {m} orders", "who ordered between {n} and {m} times?",
        "list customers with {n} to {m} orders", "which clients made between {n} and {m} orders?"),
}
# Names by their first letter.
LETTER_SENTENCES: dict[str, tuple[str, ...]] = {
    "products": (
        "which products start with {l}?", "products starting with {l}", "what products begin with {l}?",
        "which items begin with the letter {l}?", "list products that start with {l}",
        "what do we sell that starts with {l}?", "our products with {l} at the beginning?",
        "products beginning with {l}", "i forgot the name of a product, it starts with {l}"),
    "customers": (
        "which customers start with {l}?", "customers starting with {l}", "which customer's name begins with {l}?",
        "customer names with {l} at the beginning?", "list customers whose name starts with {l}",
        "our clients beginning with {l}?", "i forgot a customer's name, it starts with {l}",
        "which client's name starts with the letter {l}?"),
    "employees": (
        "which employees start with {l}?", "employees starting with {l}", "which employee's name begins with {l}?",
        "employee names with {l} at the beginning?", "list employees whose name starts with {l}",
        "who works here and has a name beginning with {l}?", "i forgot a colleague's name, it starts with {l}",
        "which worker's name starts with the letter {l}?"),
}
# fmt: on
